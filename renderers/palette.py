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

# cards
FELT: Color = (34, 104, 78)
FELT_LOW: Color = (24, 80, 60)

# blicket detector
GLOW: Color = (104, 88, 56)
# maze
SKY: Color = (110, 172, 232)
SKY_LOW: Color = (214, 234, 248)
HEDGE: Color = (92, 160, 84)
HEDGE_LOW: Color = (58, 122, 66)
HEDGE_DARK: Color = (34, 84, 54)
HEDGE_LIGHT: Color = (140, 196, 110)
PATH: Color = (232, 212, 170)
PATH_LOW: Color = (204, 178, 132)
PATH_LINE: Color = (180, 152, 106)
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

TOYS: dict[str, tuple[Color, Color, Color]] = {
    "red": ((240, 84, 80), (184, 36, 52), (112, 20, 36)),
    "orange": ((255, 158, 62), (220, 104, 20), (132, 58, 8)),
    "yellow": ((255, 222, 84), (232, 178, 30), (142, 100, 8)),
    "green": ((92, 204, 122), (30, 138, 80), (12, 78, 46)),
    "blue": ((92, 150, 246), (42, 84, 196), (18, 42, 112)),
    "purple": ((188, 122, 240), (118, 58, 184), (66, 28, 112)),
    "white": ((255, 255, 255), (206, 212, 226), (120, 128, 150)),
    "black": ((64, 66, 78), (22, 23, 30), (150, 156, 176)),
}
"""Light, dark and rim, by the name of the colour."""

# card table
FELT: Color = (40, 138, 92)
FELT_LOW: Color = (22, 104, 70)
FELT_INK: Color = (186, 232, 204)
CARD: Color = (254, 252, 246)
CARD_EDGE: Color = (196, 190, 178)

PEGS: dict[str, tuple[Color, Color]] = {
    "red": ((232, 74, 74), (168, 32, 46)),
    "green": ((92, 196, 112), (28, 124, 62)),
    "blue": ((84, 138, 236), (36, 74, 172)),
    "yellow": ((255, 226, 84), (222, 172, 16)),
    "orange": ((255, 158, 62), (206, 96, 12)),
    "purple": ((172, 104, 224), (104, 46, 160)),
    "white": ((255, 255, 255), (206, 212, 226)),
    "black": ((78, 82, 100), (22, 24, 34)),
    "pink": ((255, 170, 206), (222, 98, 154)),
    "brown": ((158, 104, 64), (98, 56, 28)),
    "cyan": ((104, 222, 232), (24, 146, 164)),
    "gray": ((170, 176, 190), (106, 112, 130)),
}
"""Light and dark, of a peg of each colour."""
# countdown and math
SIGN: Color = (34, 62, 128)
SIGN_LOW: Color = (18, 34, 82)
SIGN_LIGHT: Color = (88, 128, 214)
DISPLAY: Color = (12, 14, 24)
SLATE: Color = (44, 84, 70)
SLATE_LOW: Color = (34, 68, 58)
CHALK: Color = (240, 244, 234)
CHALK_RED: Color = (255, 158, 144)
CHALK_GREEN: Color = (158, 240, 160)
CHALK_GOLD: Color = (250, 224, 140)
# 2048
BOARD: Color = (176, 164, 152)
BOARD_LOW: Color = (158, 146, 134)
NO_TILE: Color = (198, 187, 175)
TILES: tuple[tuple[Color, Color], ...] = (
    ((242, 233, 222), (230, 219, 205)),
    ((240, 225, 196), (226, 208, 172)),
    ((247, 190, 138), (236, 168, 108)),
    ((248, 160, 110), (236, 136, 82)),
    ((248, 132, 104), (232, 106, 78)),
    ((240, 96, 62), (218, 68, 40)),
    ((236, 202, 100), (220, 180, 68)),
    ((234, 192, 74), (216, 168, 44)),
    ((232, 182, 52), (212, 156, 24)),
    ((230, 172, 34), (206, 144, 8)),
    ((240, 164, 20), (214, 128, 0)),
    ((134, 202, 140), (92, 170, 104)),
    ((92, 190, 176), (52, 152, 142)),
    ((92, 146, 240), (48, 88, 190)),
    ((150, 96, 214), (104, 56, 168)),
)
"""Light and dark, one pair a tile from 2 on."""

# cube
CUBE: tuple[tuple[Color, Color], ...] = (
    ((250, 250, 248), (228, 228, 226)),
    ((222, 44, 58), (190, 26, 44)),
    ((52, 184, 100), (28, 148, 76)),
    ((255, 222, 68), (240, 198, 36)),
    ((255, 146, 44), (240, 120, 20)),
    ((58, 112, 226), (36, 82, 188)),
)
"""Light and dark of the colours of the upper, right, front, lower, left and back face."""
