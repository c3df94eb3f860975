"""Trains runs one after the other, in as many processes as accelerate started.

The argument is JSON, a list of (config, whether to resume, whether to shard the weights).
"""

import json
import os
import sys

import torch
from accelerate import PartialState

from starpo_plugin.config import from_dict
from starpo_plugin.train import train

torch.set_num_threads(1)
for config, resume, sharded in json.loads(sys.argv[1]):
    # what --use_fsdp sets; where there are only CPUs it is read anew by each run
    os.environ["ACCELERATE_USE_FSDP"] = str(sharded).lower()
    train(from_dict(config), resume=resume)
PartialState().destroy_process_group()
