"""The colours of every picture, so that they stay one family."""

from renderers.canvas import Color

INK: Color = (38, 43, 58)
PAPER: Color = (250, 247, 240)
SHADOW: Color = (24, 22, 34)

# sokoban
STONE: Color = (232, 223, 205)
STONE_LOW: Color = (222, 211, 190)
JOINT: Color = (203, 191, 168)
MORTAR: Color = (52, 58, 78)
BRICK: Color = (126, 138, 168)
BRICK_LOW: Color = (96, 107, 138)
BRICK_LIGHT: Color = (156, 168, 196)
WOOD: Color = (214, 152, 84)
WOOD_LOW: Color = (186, 120, 58)
WOOD_DARK: Color = (122, 72, 32)
WOOD_LIGHT: Color = (236, 184, 120)
GREEN: Color = (98, 206, 128)
GREEN_LOW: Color = (48, 162, 92)
GREEN_DARK: Color = (20, 96, 56)
GREEN_LIGHT: Color = (164, 236, 178)
TARGET: Color = (0, 170, 160)
TARGET_LIGHT: Color = (122, 240, 220)

# frozen lake
ICE: Color = (222, 241, 250)
ICE_LOW: Color = (194, 224, 241)
ICE_EDGE: Color = (164, 202, 226)
CRACK: Color = (150, 190, 216)
SNOW: Color = (250, 253, 255)
WATER: Color = (34, 92, 142)
WATER_DEEP: Color = (8, 26, 62)
RIPPLE: Color = (112, 176, 214)
RED: Color = (226, 72, 74)
RED_LOW: Color = (184, 44, 58)
GOLD: Color = (255, 204, 72)
GOLD_LOW: Color = (232, 160, 36)

# minesweeper
SLATE: Color = (190, 196, 210)
SLATE_LIGHT: Color = (240, 243, 250)
SLATE_LOW: Color = (128, 136, 156)
GROUND: Color = (208, 212, 222)
COUNTS: tuple[Color, ...] = (
    (44, 84, 220),
    (24, 128, 56),
    (216, 40, 48),
    (30, 36, 128),
    (136, 28, 36),
    (16, 128, 136),
    (30, 32, 40),
    (110, 116, 130),
)
"""Of the numbers 1 to 8, after Windows' Minesweeper."""

# people
SKIN: Color = (255, 217, 176)
SKIN_LOW: Color = (243, 190, 144)
CHEEK: Color = (240, 140, 120)
BLUE: Color = (78, 132, 226)
BLUE_LOW: Color = (48, 92, 184)

# panels
NIGHT: Color = (27, 31, 46)
NIGHT_LIGHT: Color = (40, 46, 66)
NIGHT_LINE: Color = (66, 74, 102)
MIST: Color = (146, 156, 186)
CLOUD: Color = (226, 230, 242)

ARMS: tuple[tuple[Color, Color], ...] = (
    ((92, 146, 240), (48, 88, 190)),
    ((240, 110, 98), (186, 52, 62)),
    ((86, 196, 140), (32, 134, 92)),
    ((190, 132, 236), (124, 70, 186)),
    ((248, 168, 76), (204, 108, 28)),
    ((84, 196, 212), (28, 126, 150)),
    ((240, 132, 186), (186, 62, 128)),
    ((168, 188, 84), (108, 128, 32)),
)
"""Light and dark, one pair an arm of a bandit."""
STEEL: Color = (170, 178, 198)
STEEL_LOW: Color = (104, 112, 136)
