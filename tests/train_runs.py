"""Trains runs one after the other, in as many processes as accelerate started: JSON of their
configs, each with whether it is to be resumed.
"""

import json
import sys

import torch
from accelerate import PartialState

from starpo_plugin.config import from_dict
from starpo_plugin.train import train

torch.set_num_threads(1)
for config, resume in json.loads(sys.argv[1]):
    train(from_dict(config), resume=resume)
PartialState().destroy_process_group()
