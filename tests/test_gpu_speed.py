"""What needs no GPU in the benchmark of one: limits, the page, parts that fail; toy shapes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.usefixtures("importable_benchmarks")


def test_a_step_reads_every_weight_once_and_the_keys_and_values_of_each_row():
    from gpu_cases import random_model
    from gpu_page import limit, step_bytes
    from gpu_speed import TOY

    model = random_model(TOY, "cpu", torch.bfloat16)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    ids = torch.zeros(3, 20, dtype=torch.long)
    layers = model(input_ids=ids, use_cache=True).past_key_values.layers
    held = sum(x.numel() * x.element_size() for layer in layers for x in (layer.keys, layer.values))
    assert step_bytes(TOY, 3, 20, 2) == weights + held
    # 1,000 bytes a second: a step takes so many seconds, and gives 3 tokens
    assert limit(TOY, 3, 20, 2, 1000.0) == pytest.approx(3 * 1000 / (weights + held))


def test_an_embedding_that_is_not_the_head_is_not_read():
    from gpu_page import step_bytes

    from starpo_plugin.shapes import SHAPES

    tied, apart = SHAPES["Qwen2.5-0.5B"], SHAPES["Qwen2.5-7B"]
    assert step_bytes(tied, 0, 0, 2) == 2 * tied.parameters
    assert step_bytes(apart, 0, 0, 2) == 2 * (apart.parameters - 152064 * 3584)


def test_every_way_decodes_as_many_tokens_as_it_is_asked_for():
    from gpu_cases import WAYS, random_policy
    from gpu_speed import TOY

    policy = random_policy(TOY, "cpu", torch.float32)
    prompts = torch.arange(10).view(2, 5)
    for make in WAYS.values():
        way = make(policy, prompts, 4)
        for tokens in (4, 1, 4):
            way(tokens)  # raises if it makes another number


def fine(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    assert results["machine"]
    yield {"bytes": 10**9, "bandwidth": 2e12}


def breaks(_: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"bytes": 10**9, "bandwidth": 3e12}
    raise torch.OutOfMemoryError("tried to allocate\nmore than there is")


def test_a_part_that_fails_is_told_of_and_the_others_go_on():
    from gpu_page import page
    from gpu_speed import Part, measure

    written: list[str] = []
    results: dict[str, Any] = {"machine": {"GPU": "none"}, "parts": {}}
    planned = {
        "One": Part("bandwidth", fine, 1),
        "Two": Part("bandwidth", breaks, 1),
        "Long": Part("bandwidth", fine, 99),
        "Four": Part("bandwidth", fine, 1),
    }
    measure(planned, "cpu", 50, lambda r: written.append(page(r)), results)
    assert "**2,000 GB/s**" in written[0]
    said = page(results).split("## ")[1:]
    assert [part.splitlines()[0] for part in said] == list(planned)
    assert "Not measured" not in said[0] + said[3]
    assert "**3,000 GB/s**" in said[1]
    assert "Not measured whole: OutOfMemoryError: tried to allocate.\n" in said[1]
    assert "it may take 99 s" in said[2]
    again = json.loads(json.dumps(results))
    measure(planned, "cpu", 50, lambda r: pytest.fail("nothing is lacking"), again)
    assert again == results


def test_a_way_that_fails_is_told_of_in_its_row():
    from gpu_page import page

    ways = {"`generate`": {"step": 0.02, "first": 0.1}, "graphs": {"error": "RuntimeError: no"}}
    numbers = {
        **{"prompt": 256, "tokens": 128, "dtype": "bfloat16", "base": "`generate`"},
        "batches": [
            {"rows": 32, "limit": 6400.0, "ways": {**ways, "fast": {"step": 0.005, "first": 0.1}}}
        ],
    }
    part = {"kind": "decoding", "seconds": 1.0, "error": None, "numbers": numbers}
    lines = page({"machine": {}, "parts": {"Decoding": part}}).splitlines()
    assert "| 32 | `generate` | 1,600 | 1.00 | 25% | 20.00 | 100 |" in lines
    assert "| 32 | graphs | not measured: RuntimeError: no | | | | |" in lines
    assert "| 32 | fast | 6,400 | 4.00 | 100% | 5.00 | 100 |" in lines


def test_the_iteration_is_at_ragens_setting_and_fits_the_card():
    from gpu_iteration import ragen

    from starpo_plugin.estimate import estimate, fits
    from starpo_plugin.shapes import SHAPES

    config = ragen("cuda")
    assert (config.groups, config.members, config.max_turns) == (8, 16, 5)
    assert fits(estimate(SHAPES["Qwen2.5-0.5B"], config), 80)


def test_an_iteration_of_a_toy_model_is_measured():
    from gpu_cases import TimedGraphs
    from gpu_iteration import Iteration, ragen
    from gpu_page import page
    from gpu_speed import TOY

    run = Iteration(TOY, "cpu", ragen("cpu", small=True))
    *_, numbers = run.measure(TimedGraphs, None)
    assert [r["name"].split()[0] for r in numbers["rows"]] == ["rollout", "update"] * 2
    assert numbers["rows"][0]["tokens"] == 2 * 2 * 2 * 6  # groups, members, turns, tokens
    part = {"kind": "iteration", "seconds": 1.0, "error": None, "numbers": numbers}
    assert "| rollout (first) |" in page({"machine": {}, "parts": {"An iteration": part}})
