"""TRL's ``GRPOTrainer`` with an environment, on the episodes of ``train_cases.py``.

It needs TRL in an environment of its own (``make bench-train`` makes it). The same model, starts,
turns and limit of a reply. TRL's environments are tools that a model calls, and an untrained model
calls none: here every reply is taken for a call, so that each episode has all its turns.
"""

import tempfile
import time
import warnings
from typing import Any

from train_cases import MEMBERS, Effort, config_of, untrained

from starpo_plugin.tokens import ChatTokens
from text_envs.chat import ChatEnv

# as the tiny model's own, with what TRL wants to see of a call and its answer
TEMPLATE = (
    "{% for m in messages %}<|{{ 'user' if m.role == 'tool' else m.role }}|>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}"
    "{% endfor %}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONFIG = config_of()


class Game:
    """A ``ChatEnv`` as TRL wants one."""

    def __init__(self) -> None:
        self._env: ChatEnv = CONFIG.episodes().make(split="train")
        self._over, self._total = False, 0.0

    def reset(self, **row: Any) -> str:
        """Begin an episode: the first message."""
        self._over, self._total = False, 0.0
        message, _ = self._env.reset(seed=row["seed"])
        return message

    def play(self, reply: str) -> str:
        """Play a reply.

        Args:
            reply: what the model said.
        """
        if self._over:
            return ""
        message, reward, terminated, truncated, _ = self._env.step(reply)
        self._over, self._total = terminated or truncated, self._total + float(reward)
        return message

    def get_reward(self) -> float:
        """Sum of the episode's rewards."""
        return self._total


def measure(effort: Effort) -> dict[str, float]:
    """CPU seconds of TRL's rollouts and of whole iterations, and the tokens that it sampled."""
    warnings.simplefilter("ignore")
    trainer = _trainer(effort)
    begins: list[float] = []
    spent: list[float] = []
    sampled: list[int] = []
    generate = trainer._generate

    def timed(prompts: list[Any]) -> Any:
        begins.append(time.process_time())
        made = generate(prompts)
        spent.append(time.process_time() - begins[-1])
        masks = next(x for x in made if _are_masks(x))
        sampled.append(sum(map(sum, masks)))
        return made

    trainer._generate = timed
    trainer.train()
    ended = time.process_time()
    rounds = len(spent) - 1  # the first pays for what is slow once
    return {
        "rollout": sum(spent[1:]) / rounds,
        "iteration": (ended - begins[1]) / rounds,
        "tokens_per_s": sum(sampled[1:]) / sum(spent[1:]),
        "rounds": rounds,
    }


def _trainer(effort: Effort) -> Any:
    # in an environment of their own (make bench-train), not where types are checked
    from datasets import Dataset  # pyright: ignore[reportMissingImports]
    from datasets.table import InMemoryTable  # pyright: ignore[reportMissingImports]
    from trl import GRPOTrainer  # pyright: ignore[reportMissingImports]

    policy = untrained(CONFIG)
    _take_replies_for_calls(policy.tokenizer)
    rows = [{"prompt": [{"role": "user", "content": ""}], "seed": g} for g in range(effort.groups)]
    starts = InMemoryTable.from_pylist(rows * (effort.repeats + 2))
    trainer = GRPOTrainer(
        model=policy.model,
        args=_settings(effort),
        processing_class=policy.tokenizer,
        train_dataset=Dataset(starts, fingerprint="starts"),  # else it is hashed, pickled
        environment_factory=Game,
    )
    # of one reply: TRL's own limit is of an episode's replies together
    trainer.generation_config.max_new_tokens = CONFIG.max_reply_tokens
    return trainer


def _take_replies_for_calls(tokenizer: Any) -> None:
    tokens = ChatTokens(tokenizer)
    tokenizer.chat_template = TEMPLATE

    def every_reply_is_a_call(ids: list[int], **_: Any) -> dict[str, Any]:
        arguments = {"reply": tokens.decode(ids)}
        call = {"type": "function", "function": {"name": "play", "arguments": arguments}}
        return {"role": "assistant", "content": "", "tool_calls": [call]}

    tokenizer.parse_response = every_reply_is_a_call
    tokenizer.response_template = "set"


def _settings(effort: Effort) -> Any:
    """Our settings, as TRL's."""
    from trl import GRPOConfig  # pyright: ignore[reportMissingImports]

    episodes = effort.groups * MEMBERS
    together = min(CONFIG.mini_batch, episodes)
    return GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=together,
        gradient_accumulation_steps=episodes // together,
        steps_per_generation=episodes // together,
        num_generations=MEMBERS,
        max_completion_length=CONFIG.max_tokens,
        max_tool_calling_iterations=CONFIG.max_turns - 1,
        max_steps=effort.repeats + 1,
        temperature=1.0,
        top_k=0,
        beta=0.0,
        learning_rate=0.0,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        shuffle_dataset=False,
        disable_tqdm=True,
    )


def _are_masks(made: Any) -> bool:
    """Whether this is TRL's mask of what the model wrote: for each episode, zeros and ones."""
    return (
        isinstance(made, list)
        and bool(made)
        and isinstance(made[0], list)
        and set(map(int, made[0])) == {0, 1}
    )
