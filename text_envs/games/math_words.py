"""Who and what the stories of ``math_templates`` are about."""

NAMES = (
    "Ada", "Ahmed", "Aiko", "Alma", "Amara", "Anton", "Aylin", "Bela", "Bruno", "Carla", "Chidi",
    "Clara", "Dario", "Dina", "Edith", "Elif", "Emil", "Farid", "Fatima", "Felix", "Freya",
    "Goran", "Greta", "Hana", "Hugo", "Ibrahim", "Ines", "Ivan", "Jana", "Jonas", "Kenji", "Kofi",
    "Lars", "Leila", "Lin", "Luca", "Maja", "Marek", "Mei", "Milan", "Mira", "Nadia", "Niko",
    "Noor", "Olga", "Omar", "Paula", "Pedro", "Priya", "Quinn", "Rafael", "Rosa", "Samir", "Sofia",
    "Tariq", "Thea", "Tomas", "Uma", "Vera", "Wanda", "Yara", "Yusuf", "Zoe", "Zora",
)  # fmt: skip
THINGS = (
    "acorns", "apples", "badges", "balloons", "beads", "buttons", "cards", "carrots", "chestnuts",
    "coins", "cookies", "corks", "crayons", "erasers", "feathers", "figs", "grapes", "keys",
    "lemons", "marbles", "muffins", "nuts", "olives", "oranges", "peaches", "pears", "pebbles",
    "pencils", "plums", "postcards", "puzzles", "ribbons", "seeds", "shells", "stamps", "stickers",
    "stones", "tickets", "tiles", "tomatoes", "toys", "walnuts",
)  # fmt: skip
HOLDERS = ("bags", "baskets", "bowls", "boxes", "crates", "drawers", "jars", "packs", "trays")
GOODS = (
    "belt", "book", "candle", "cap", "chair", "clock", "drum", "flute", "game", "globe",
    "jacket", "kite", "lamp", "mug", "pan", "pillow", "plant", "poster", "scarf", "shirt", "tent",
    "towel", "vase", "wallet",
)  # fmt: skip
WARES = ("almonds", "beans", "cheese", "cherries", "coffee", "flour", "honey", "lentils", "rice")
TRAVELLERS = ("boat", "bus", "car", "coach", "cyclist", "ferry", "lorry", "train", "tram", "van")
COLORS = ("black", "blue", "brown", "green", "grey", "orange", "pink", "red", "white", "yellow")
