"""The estimate against models that exist, and against what a process really took."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from starpo_plugin.__main__ import main
from starpo_plugin.defaults import train_options
from starpo_plugin.estimate import CARDS, estimate, fits, peak, smaller
from starpo_plugin.lora import POLICY, Adapters, LoraShape
from starpo_plugin.presets import preset
from starpo_plugin.shapes import SHAPES, ModelShape, known, read_shape, shape_of

ROOT = Path(__file__).parent.parent
# as each model's card gives them
PARAMETERS = {
    "Qwen2.5-0.5B": 494_032_768,
    "Qwen2.5-1.5B": 1_543_714_304,
    "Qwen2.5-3B": 3_085_938_688,
    "Qwen2.5-7B": 7_615_616_512,
    "Qwen3-0.6B": 596_049_920,
    "Qwen3-1.7B": 1_720_574_976,
    "Qwen3-4B": 4_022_468_096,
    "Qwen3-8B": 8_190_735_360,
    "Llama-3.2-1B": 1_235_814_400,
    "Llama-3.2-3B": 3_212_749_824,
    "Llama-3.1-8B": 8_030_261_248,
}


def benchmark(name: str) -> ModuleType:
    """A file of benchmarks/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        spec.loader.exec_module(module)
    return module


def config_of(shape: ModelShape) -> Qwen2Config | Qwen3Config | LlamaConfig:
    kind = Qwen2Config if shape.qkv_bias else Qwen3Config if shape.qk_norm else LlamaConfig
    return kind(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        tie_word_embeddings=shape.tied,
    )


def test_the_table_has_the_sizes_that_are_published():
    assert {name: shape.parameters for name, shape in SHAPES.items()} == PARAMETERS


@pytest.mark.parametrize("name", ["Qwen2.5-7B", "Qwen3-0.6B", "Llama-3.2-1B"])
def test_parameters_are_those_of_the_model(name):
    shape = replace(SHAPES[name], layers=2)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config_of(shape))
    assert sum(p.numel() for p in model.parameters()) == shape.parameters
    assert sum(p.numel() for p in model.base_model.parameters()) == shape.body
    assert read_shape(model.config.to_dict(), name) == shape


@pytest.mark.parametrize("targets", [(), ("q_proj", "v_proj")])
def test_adapters_are_as_large_as_peft_makes_them(targets):
    shape = ModelShape(50, 32, 48, 2, 4, 2, 16, tied=True, qk_norm=True)
    model = AutoModelForCausalLM.from_config(config_of(shape))
    adapters = Adapters(model, LoraShape(4, 8.0, targets), (POLICY,), 0)
    assert sum(p.numel() for p in adapters.parameters(POLICY)) == shape.adapter(4, targets)


def test_names_of_models():
    for name in ("Qwen/Qwen2.5-0.5B-Instruct", "qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B"):
        assert known(name) == SHAPES["Qwen2.5-0.5B"]
    assert known("Qwen/Qwen2.5-0.5BX") is None
    assert known("Qwen/Qwen2.5") is None


SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    "num_attention_heads",
)


def test_a_folder_needs_its_config_only(tmp_path):
    shape = SHAPES["Qwen3-0.6B"]
    (tmp_path / "config.json").write_text(json.dumps(config_of(shape).to_dict()))
    assert shape_of(str(tmp_path)) == shape
    seeing = {"model_type": "seeing", "text_config": config_of(shape).to_dict()}
    assert read_shape(seeing, "x") == shape


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"n_embd": 8}, "no vocab_size"),
        ({"num_experts": 8}, "num_experts"),
        ({**dict.fromkeys(SIZES, 8), "num_attention_heads": 0}, "no num_attention_heads"),
        ({**dict.fromkeys(SIZES, 8), "hidden_size": "8"}, "no hidden_size"),
    ],
)
def test_other_architectures_are_refused(config, why):
    with pytest.raises(ValueError, match=why):
        read_shape(config, "x")


@pytest.mark.parametrize("content", ["", "{", "[1]", "7", "\ufeff{}"])
def test_a_damaged_config_is_named(content, tmp_path, capsys):
    (tmp_path / "config.json").write_text(content)
    assert main(["estimate", "--model", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path}/config.json is no model's config" in error
    assert error.count("\n") == 1


def total(phase: str, **changes: object) -> float:
    config = preset("starpo_ppo", **changes)
    return sum(estimate(SHAPES["Qwen3-0.6B"], config)[phase].values())


def test_every_option_that_saves_memory_does_in_the_estimate():
    assert total("update", gradient_checkpointing=True) < 0.5 * total("update")
    assert total("update", micro_batch_tokens=4096) < total("update")
    assert total("update", precision="bf16") < total("update")
    assert total("update", lora_rank=8) < total("update")
    assert total("update", critic="separate") > total("update")
    assert total("update", kl_coef=0.0) < total("update")  # no reference
    assert total("rollout", members=8) < total("rollout")
    assert total("rollout", slots=32) < total("rollout")
    assert total("evaluation", eval_episodes=64) < total("evaluation")
    assert total("rollout", gradient_checkpointing=True) == total("rollout")


def test_an_evaluation_holds_no_more_episodes_than_a_rollout():
    for changes in ({}, {"members": 4}, {"slots": 8}):
        rollout = total("rollout", **changes)
        assert total("evaluation", eval_episodes=100_000, **changes) == rollout
    assert total("evaluation", slots=256) > total("rollout", slots=256)  # asked for
    envs = ("TextBandit-v0",)
    assert total("evaluation", eval_episodes=32, envs=envs) == total("evaluation", eval_episodes=64)


def test_weights_and_optimiser_are_sixteen_bytes_a_parameter():
    parts = estimate(SHAPES["Qwen3-0.6B"], preset("starpo_s"))["update"]
    held = parts["weights"] + parts["optimiser"] + parts["gradients"]
    assert held == 16 * SHAPES["Qwen3-0.6B"].parameters
    frozen = estimate(SHAPES["Qwen3-0.6B"], preset("starpo_ppo", lora_rank=8, precision="bf16"))
    assert frozen["update"]["reference"] == 0
    adapter = SHAPES["Qwen3-0.6B"].adapter(8)
    assert frozen["update"]["weights"] == 2 * SHAPES["Qwen3-0.6B"].parameters + 4 * adapter


def test_smaller_runs_only_get_smaller():
    peaks = [peak(estimate(SHAPES["Qwen3-8B"], c))[1] for _, c in smaller(preset("starpo_s"))]
    assert peaks == sorted(peaks, reverse=True)
    assert len(peaks) == 7


def test_a_card_keeps_a_tenth_free():
    phases = {"update": {"weights": 21.5e9}}
    assert fits(phases, 24)
    assert not fits(phases, 23)


def test_the_command_prints_phases_peak_and_cards(capsys):
    argv = ["--model", "Qwen/Qwen2.5-7B-Instruct", "--precision", "bf16", "--lora-rank", "16"]
    assert main(["estimate", *argv, "--preset", "starpo_ppo", "--critic", "separate"]) == 0
    told = capsys.readouterr().out
    for piece in ("7.62 B parameters", "keys and values", "together", "peak: ", "not even with"):
        assert piece in told
    for card in CARDS:
        assert f"{card} GB: " in told
    assert main(["estimate", "--model", "./no/such"]) == 2
    assert "Qwen2.5-0.5B" in capsys.readouterr().err


def test_the_command_makes_a_tiny_model_to_know_its_size(capsys):
    assert main(["estimate", "--model", "tiny", "--env", "TextFrozenLake-v0"]) == 0
    assert "24 GB: fits" in capsys.readouterr().out


def test_the_page_on_hardware_is_what_the_estimate_says():
    hardware = benchmark("hardware")
    page = hardware.PAGE.read_text()
    assert page == hardware.filled(page), "python benchmarks/hardware.py writes it anew"
    assert train_options(hardware.FLAGS.split()) == (hardware.LEAN, False)


def test_the_page_and_picture_of_memory_are_of_the_numbers():
    memory = benchmark("memory")
    results = json.loads(memory.NUMBERS.read_text())
    for suffix, drawn in ((".md", memory.page(results)), (".svg", memory.picture(results))):
        path = memory.NUMBERS.with_suffix(suffix)
        assert path.read_text() == drawn, "python benchmarks/memory.py --draw writes it anew"
    picture = memory.picture({"logits": [{"tokens": 1, "ours": 1, "whole": 3e9}] * 2})
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert "every position" in picture


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's peak from /proc")
def test_the_estimate_is_within_a_quarter_of_a_measured_peak():
    memory = benchmark("memory")
    case = next(c for c in memory.CASES if c.name == "small")
    assert 0.75 < memory.estimated(case) / memory.run(case) < 1.25
