"""The words that the bundled motion model was taught, and what it takes other words for."""

import re
from collections.abc import Iterable
from functools import cache, lru_cache

VERBS = {
    "sway": (
        *("sway", "wave", "bend", "lean", "blow in the wind", "move in the breeze", "stir in the wind", "bow", "droop"),
        *("dance in the wind", "weave", "give in the wind", "whip about", "toss about", "brush to and fro"),
    ),
    "shift": (
        *("move", "drift", "slide", "glide", "shift", "float", "wander", "travel", "go", "sail", "slip", "coast", "head"),
        *("advance", "crawl", "march", "walk", "step", "fly", "pull", "push", "inch along", "ride", "roam"),
    ),
    "bob": (
        *("bob up and down", "float up and down", "hover", "rise and fall", "bob on the water", "float in the air"),
        *("ride the waves", "rise and sink", "move up and down", "hang in the air"),
    ),
    "bounce": ("bounce", "hop", "jump", "bounce on the ground", "jump up and down", "skip", "hop about", "bound"),
    "rock": (
        *("rock", "rock back and forth", "wobble", "tilt from side to side", "tip", "nod", "seesaw", "lurch", "totter"),
        *("rock like a boat", "roll from side to side", "tilt", "stagger"),
    ),
    "swing": (
        *("swing", "dangle", "swing like a pendulum", "hang and swing", "swing to and fro", "sway from a string"),
        *("swing from above", "dangle and sway"),
    ),
    "turn": (
        *("turn", "twist", "rotate back and forth", "spin back and forth", "turn back and forth", "pivot", "rotate", "spin"),
        *("whirl", "twirl", "turn round", "wheel"),
    ),
    "pulse": (
        *("breathe", "pulse", "swell and shrink", "throb", "expand and contract", "beat", "puff up", "swell", "bulge"),
        *("breathe in and out", "get bigger and smaller", "fill and empty", "widen and narrow"),
    ),
    "ripple": (
        *("ripple", "undulate", "shimmer like water", "wobble like jelly", "make waves", "wriggle", "squirm", "roll in waves"),
        *("snake", "slosh", "heave in waves"),
    ),
    "flutter": (
        *("flutter", "flap", "wave like a flag", "flutter like cloth", "flap in the wind", "flap about", "beat its wings"),
        *("fly like a flag", "flutter in the wind"),
    ),
    "tremble": (
        *("tremble", "shake", "shiver", "vibrate", "quiver", "twitch", "jiggle", "judder", "rattle", "buzz", "quake"),
        *("twitch nervously", "shiver with cold"),
    ),
    "stream": (
        *("flow", "stream", "run", "pour", "flow on and on", "flow for ever", "rush", "spill", "keep flowing", "stream past"),
        *("flow past", "wash along", "flow endlessly", "run on and on"),
    ),
}
ALIKE = {  # further ways to say each kind, never spoken in training: `interpret` learns from them what unknown words are like
    "sway": (
        *(
            "flex",
            "arch",
            "curl",
            "ruffle",
            "stir",
            "swoop from side to side",
            "move in the wind",
            "blow about",
            "flow in the wind",
        ),
        *("sway like a reed", "bend in the breeze", "stream in the wind", "swirl in the wind", "murmur in the wind", "whisper"),
        *("lean over", "drape", "fall to one side", "dance", "groove", "wave its arms", "wave its leaves", "bristle"),
        *(
            "be blown by the wind",
            "rock like wheat",
            "billow in the breeze",
            "dance in the breeze",
            "stoop",
            "sag",
            "tilt over",
        ),
        *("swoosh", "whoosh", "sough", "crackle in the wind", "sigh in the wind", "stir softly", "toss", "bend and straighten"),
        *("nod in the breeze", "lash about", "thrash in the storm", "move with the breeze", "swirl about", "brush against"),
        *(
            "lie down in the wind",
            "ruffle in the breeze",
            "sway like a willow",
            "wave to and fro",
            "lean with the wind",
            "loll",
        ),
    ),
    "shift": (
        *(
            "stroll",
            "saunter",
            "amble",
            "jog",
            "stride",
            "pace",
            "trot",
            "gallop",
            "dash",
            "race",
            "scurry",
            "scamper",
            "sneak",
        ),
        *(
            "tiptoe",
            "veer",
            "swerve",
            "proceed",
            "migrate",
            "relocate",
            "cruise",
            "roll along",
            "trundle",
            "progress",
            "approach",
        ),
        *(
            "back away",
            "retreat",
            "come closer",
            "leave",
            "pass",
            "move away",
            "move along",
            "change place",
            "hurry",
            "rush off",
        ),
        *(
            "scoot",
            "shuffle",
            "nudge",
            "ease along",
            "swim",
            "zoom past",
            "drive",
            "row",
            "pan across",
            "follow a path",
            "be carried",
        ),
        *(
            "inch",
            "sidle",
            "prowl",
            "steal along",
            "slink",
            "plod",
            "trudge",
            "tread",
            "stalk",
            "crawl forward",
            "ease forward",
        ),
        *(
            "steer",
            "navigate",
            "taxi",
            "skate",
            "skid",
            "slither past",
            "be pushed",
            "be pulled",
            "be dragged",
            "move sideways",
        ),
        *("move over", "make its way", "set off", "move off", "gain ground", "draw near", "draw back", "recede", "move ahead"),
        *(
            "hike",
            "roll away",
            "sweep across",
            "float away",
            "fly past",
            "wheel along",
            "tow",
            "haul",
            "flee",
            "run away",
            "rove",
        ),
    ),
    "bob": (
        *("float weightlessly", "heave up and down", "climb and drop", "lift and lower", "go up", "rise slowly and fall back"),
        *("hang weightless", "bob like a cork", "ascend and descend", "float in space", "soar in place", "move vertically"),
        *("dip and rise", "hover in mid-air", "hover like a drone", "rise into the air", "be lifted", "float like a ghost"),
        *("climb", "descend", "be buoyed up", "bob", "bob about", "go higher and lower", "float on the waves", "rise", "sink"),
        *(
            "be weightless",
            "hang suspended in the air",
            "soar",
            "ride up and down",
            "bounce gently on the waves",
            "duck",
            "dip",
        ),
    ),
    "bounce": (
        *("pogo", "vault", "spring", "bounce like a rubber ball", "hop like a rabbit", "jump for joy", "rebound", "ricochet"),
        *("dribble", "skip rope", "prance", "frolic", "caper", "jump around", "bounce off the floor", "trampoline", "hurdle"),
        *("leapfrog", "bob like a bouncing ball", "jump repeatedly", "bounce around", "gambol", "cavort", "romp", "leap about"),
        *(
            "hop from foot to foot",
            "land and jump again",
            "jump rope",
            "thump",
            "jolt",
            "kick up its heels",
            "pounce",
            "bunny hop",
        ),
    ),
    "rock": (
        *("rock from side to side", "lean left and right", "list like a ship", "wag", "sway like a cradle", "wag its head"),
        *("nod its head", "shake its head", "rock in its chair", "rock gently like a cradle", "keel over and back", "waddle"),
        *("tip over", "lose its balance", "balance", "lean from side to side", "rock like a rocking horse", "reel", "stumble"),
        *(
            "teeter-totter",
            "careen",
            "list",
            "heel over",
            "pitch and roll",
            "sway like a boat",
            "roll like a ship",
            "lilt",
            "dodder",
        ),
        *(
            "be unsteady on its feet",
            "wobble like a top",
            "tilt left and right",
            "cant",
            "incline",
            "rock to and fro",
            "topple",
        ),
        *("shake its head from side to side", "nod along", "tilt its head", "bow its head", "bob its head", "cock its head"),
    ),
    "swing": (
        *(
            "swing like a bell",
            "pendulate",
            "move like a pendulum",
            "hang like a chandelier",
            "sway on a rope",
            "tick like a clock",
        ),
        *(
            "swing on its hinges",
            "hang loosely",
            "swing in the wind",
            "dangle from a thread",
            "be hung",
            "hang from the ceiling",
        ),
        *("move to and fro",),
        *(
            "swing its tail",
            "wag its tail",
            "swing like a lantern",
            "swing like a hammock",
            "ring like a bell",
            "hang",
            "droop and sway",
        ),
        *("swing back and forth", "hang by a thread", "be suspended and swing", "sway from side to side on its rope"),
        *(
            "swing from a branch",
            "dangle in the air",
            "hang down and sway",
            "trapeze",
            "brachiate",
            "move like a metronome",
            "loop",
        ),
        *("swing its legs", "hang from a hook", "swing on a chain", "sling", "suspend", "swing round its hook"),
    ),
    "turn": (
        *(
            "gyrate",
            "orbit",
            "spin around",
            "rotate around itself",
            "circle",
            "circle around",
            "revolve",
            "pirouette",
            "spiral",
        ),
        *("roll over", "turn its head", "look around", "face the other way", "spin like a top", "rotate like a wheel", "screw"),
        *("turn like a wheel", "windmill", "gyrate like a dancer", "twirl around", "twist around", "go round and round"),
        *("go round", "move in circles", "turn its face", "swirl round", "circulate around", "crank", "wind round"),
        *(
            "turn on its axis",
            "rotate slowly on the spot",
            "turn left and right",
            "look left and right",
            "spin on its heel",
            "roll",
        ),
        *(
            "turn around its centre",
            "rotate like a record",
            "whirl around",
            "reel round",
            "revolve like a planet",
            "turn to and fro",
        ),
    ),
    "pulse": (
        *("pulsate", "contract and relax", "grow and contract", "pump", "pump like a heart", "balloon", "dilate", "enlarge"),
        *(
            "shrink",
            "inhale and exhale",
            "sigh",
            "snore",
            "sleep",
            "beat like a heart",
            "blow up like a balloon",
            "heave its chest",
        ),
        *(
            "grow larger and smaller",
            "get larger",
            "scale up and down",
            "stretch and squeeze",
            "compress",
            "puff in and out",
            "pant",
        ),
        *(
            "grow",
            "deflate",
            "distend",
            "bloat",
            "respire",
            "gasp",
            "yawn",
            "heave",
            "contract",
            "expand",
            "constrict",
            "bloom",
        ),
        *(
            "squeeze together",
            "stretch out",
            "puff out its chest",
            "become bigger",
            "become smaller",
            "open and close",
            "thicken",
        ),
        *(
            "breathe deeply",
            "breathe calmly",
            "take a breath",
            "throb like a wound",
            "pound like a heart",
            "swell up",
            "wax and wane",
        ),
    ),
    "ripple": (
        *(
            "swim like an eel",
            "billow like the sea",
            "lap like water",
            "roll like waves",
            "wave like the ocean",
            "slither",
            "warp",
        ),
        *(
            "heave like the sea",
            "shimmer",
            "move like liquid",
            "wash to and fro",
            "writhe",
            "distort like water",
            "crawl like a worm",
        ),
        *("wave like a snake", "swell like the ocean", "ruffle like the surface of a lake", "wobble like gelatine", "squiggle"),
        *(
            "churn in waves",
            "roll like the sea",
            "rise and fall in waves",
            "send out waves",
            "swell in waves",
            "crest",
            "billow in waves",
        ),
        *("wave like a puddle in the rain", "quiver like jelly", "move like the surface of water", "twist and writhe", "worm"),
        *(
            "coil and uncoil",
            "wave like seaweed",
            "curl like smoke",
            "meander",
            "weave like a snake",
            "lap",
            "splash about",
            "swash",
        ),
    ),
    "flutter": (
        *("flap like a bird", "blow like a banner", "whip like a flag", "beat like wings", "flicker like cloth in the wind"),
        *("flap its wings", "stream like a ribbon", "ruffle like fabric", "wave like a curtain", "wave like a banner", "fan"),
        *(
            "unfurl",
            "billow",
            "flap like laundry",
            "move like fabric",
            "blow like a curtain",
            "flail in the wind",
            "waft like silk",
        ),
        *("fill with wind", "wave its wings", "flit", "hover like a butterfly", "flap like a sail"),
        *(
            "beat the air",
            "flutter its lashes",
            "flap like a cape",
            "wave like a scarf",
            "snap in the wind",
            "crack like a banner",
        ),
        *(
            "puff out like a sail",
            "blow like a dress",
            "ruffle its feathers",
            "fly in the wind like a cloth",
            "whip in the wind",
            "luff",
        ),
    ),
    "tremble": (
        *("wince", "flinch", "vibrate like a phone", "tremble with fear", "oscillate rapidly", "fidget", "wiggle", "convulse"),
        *(
            "be nervous",
            "shake with cold",
            "throb nervously",
            "hum",
            "twinkle",
            "sparkle",
            "glitter",
            "blink",
            "flash",
            "chatter",
        ),
        *(
            "quaver",
            "thrill",
            "palpitate",
            "shake like a leaf",
            "shimmy",
            "dither",
            "be shaken by an earthquake",
            "cower",
            "jerk",
        ),
        *(
            "twitter",
            "shake all over",
            "shake nervously",
            "tremor",
            "jar",
            "joggle",
            "jounce",
            "rattle about",
            "tingle",
            "purr",
        ),
        *(
            "shiver all over",
            "quiver with fear",
            "vibrate like a string",
            "shake with rage",
            "have the shakes",
            "jump nervously",
        ),
    ),
    "stream": (
        *(
            "flood past",
            "cascade",
            "trickle",
            "gurgle along",
            "pour forth",
            "drain",
            "spurt",
            "course",
            "swirl past",
            "slide past",
        ),
        *("move on and on", "go on for ever", "flow by", "flow steadily", "run like a river", "never stop flowing", "pour out"),
        *(
            "flow like lava",
            "keep running",
            "surge past",
            "flow continuously",
            "flow downstream",
            "roll on",
            "circulate",
            "well up",
        ),
        *(
            "spew",
            "jet",
            "spout",
            "squirt",
            "discharge",
            "overflow",
            "flood",
            "seep",
            "leak",
            "drip",
            "ooze out",
            "spring forth",
        ),
        *(
            "flow without stopping",
            "pour down",
            "wash away",
            "roll past",
            "sweep past",
            "empty into the sea",
            "run down",
            "issue",
        ),
    ),
}
STREAMS = {  # what flows on for ever: where to if nothing is said (degrees; None: anywhere), and verbs of its own
    "the water": (None, ()),
    "the river": (None, ("rush by",)),
    "the stream": (None, ("rush by",)),
    "the sea": (None, ("roll in",)),
    "the waterfall": (90, ("fall", "cascade", "plunge")),
    "the clouds": (None, ("drift by", "pass by", "move across the sky")),
    "the fog": (None, ("roll in", "drift by")),
    "the smoke": (270, ("rise", "curl upwards", "billow up")),
    "the steam": (270, ("rise", "billow up")),
    "the fire": (270, ("burn", "blaze", "flicker")),
    "the flames": (270, ("burn", "blaze", "lick upwards")),
    "the sand": (None, ("blow by", "trickle")),
    "the snow": (90, ("fall", "come down")),
    "the rain": (90, ("fall", "come down")),
    "the lava": (90, ("ooze",)),
}
DIRECTIONS = {  # degrees, x right and y down
    0: ("to the right", "right", "rightwards", "towards the right"),
    180: ("to the left", "left", "leftwards", "towards the left"),
    270: ("up", "upwards", "to the top"),
    90: ("down", "downwards", "to the bottom"),
    225: ("up and to the left", "to the upper left"),
    315: ("up and to the right", "to the upper right"),
    135: ("down and to the left", "to the lower left"),
    45: ("down and to the right", "to the lower right"),
}
AIMED = ("shift", "stream")  # kinds that can go wherever words say
DIRECTED = (*AIMED, "sway", "rock", "swing")  # and to a side
STRENGTHS = {
    "barely": ("barely", "almost imperceptibly", "very slightly", "a tiny bit"),
    "gently": ("gently", "softly", "slightly", "subtly", "lightly"),
    "plainly": ("plainly", "clearly", "noticeably", "visibly"),
    "strongly": ("strongly", "a lot", "powerfully", "vigorously", "forcefully"),
    "wildly": ("wildly", "violently", "like crazy", "as in a storm"),
}
TEMPOS = {
    "slowly": ("slowly", "lazily", "in slow motion", "calmly", "unhurriedly"),
    "quickly": ("quickly", "fast", "rapidly", "hastily", "at high speed"),
}
SPEEDS = {
    "barely": 0.02,
    "gently": 0.03,
    "plainly": 0.045,
    "strongly": 0.075,
    "wildly": 0.11,
}  # of streams, short sides a second
FREQUENCIES = {"slowly": (0.22, 0.32), "": (0.4, 0.65), "quickly": (0.95, 1.35)}  # hertz, of what comes back
PACE = {"slowly": 0.6, "": 1.0, "quickly": 1.7}  # and as quick as this
STILL = ("nothing moves", "a still picture", "everything stays still", "no motion at all", "it stands still")
PLURAL = ("the clouds", "the flames")
LAYERS = {  # what a motion can be of, and how people begin to say so
    "the background": "in the background|behind it|(the )?(background|backdrop|scene behind|scenery|landscape|sky)|"
    "(the )?(rest of the picture|everything behind it)",
    "everything": "everything|(the )?(whole )?(picture|scene|image)|all of it",
    "only the top of it": "only (the )?(top|upper part|upper half)|(the )?(top|upper part|upper half) of",
    "only the bottom of it": "only (the )?(bottom|lower part|lower half)|(the )?(bottom|lower part|lower half) of",
}
RIGID = (  # things that do not bend
    *("boat", "ship", "lamp", "lantern", "cup", "mug", "bottle", "glass", "car", "bus", "truck", "train", "bicycle", "bike"),
    *("motorcycle", "motorbike", "plane", "airplane", "rocket", "statue", "ball", "house", "tower", "building", "toy", "robot"),
    *("chair", "table", "sign", "bell", "clock", "globe", "wheel", "windmill", "box", "guitar", "camera", "phone", "coin"),
)
NATURES = {  # what things do by nature, for verbs that say no motion: "the leaves rustle"
    "sway": (
        *(
            "leaf",
            "leave",
            "tree",
            "grass",
            "bush",
            "branch",
            "twig",
            "flower",
            "petal",
            "plant",
            "reed",
            "wheat",
            "corn",
            "fern",
        ),
        *("palm", "willow", "fur", "hair", "forest", "meadow", "hedge", "ivy", "vine", "bamboo", "seaweed"),
    ),
    "flutter": (
        *(
            "flag",
            "banner",
            "curtain",
            "scarf",
            "dress",
            "skirt",
            "cape",
            "cloth",
            "sail",
            "ribbon",
            "veil",
            "wing",
            "butterfly",
        ),
        *("laundry", "pennant", "kite"),
    ),
    "swing": ("bell", "pendulum", "chandelier", "hammock", "pendant"),
    "rock": ("boat", "ship", "cradle", "buoy", "canoe", "yacht", "raft"),
    "turn": ("wheel", "windmill", "fan", "propeller", "carousel", "globe", "planet"),
    "bob": ("balloon", "airship", "ghost", "jellyfish", "drone", "cork"),
    "bounce": ("ball",),
    "pulse": ("heart", "chest", "lung", "belly"),
    "ripple": ("wave", "pond", "puddle", "lake", "surface", "snake"),
}
LEVEL = ("shift", "bob", "bounce", "tremble")  # motions of all of a thing alike
HINGED = {"rock": (0.9, 1.1), "swing": (-0.1, 0.1), "turn": (0.2, 0.8)}  # about one point, at shares of the height from the top
HELD = ("sway", "flutter")  # bends away from where it is fixed
IN_PLACE = ("pulse",)  # neither shifts nor turns as a whole
SOFT = ("pulse", "ripple", "flutter", "stream")  # motions that bend whatever has them
CAMERA = ("pan", "track", "travel sideways", "push in", "zoom in", "move closer", "pull out", "zoom out", "move away")


def third_person(verb: str) -> str:
    first, *rest = verb.split(" ")
    if rest[:1] == ["and"]:  # "swell and shrink"
        return f"{third_person(first)} and {third_person(' '.join(rest[1:]))}"
    if first.endswith("y") and first[-2] not in "aeo":
        return " ".join([first[:-1] + "ies", *rest])
    return " ".join([first + ("es" if first.endswith(("sh", "ch", "ss", "zz", "o")) else "s"), *rest])


def clause(subject: str, verb: str) -> str:
    """The subject does it, one or many of them."""
    return f"{subject} {verb if subject in PLURAL else third_person(verb)}"


def gerund(verb: str) -> str:
    first, *rest = verb.split(" ")
    if rest[:1] == ["and"]:
        return f"{gerund(first)} and {gerund(' '.join(rest[1:]))}"
    doubled = {"bob", "tip", "nod", "flap", "hop", "spin", "run", "stir", "pan", "skip", "slip", "whip"}
    stem = first[:-1] if first.endswith("e") else first + first[-1] if first in doubled else first
    return " ".join([stem + "ing", *rest])


@cache
def spoken_forms() -> dict[str, str | None]:
    """Any form of any motion word that the model knows → its kind; None: it says a thing that is no kind of `VERBS`."""
    verbs = [(verb, kind) for kind, known in VERBS.items() for verb in known]
    verbs += [(verb, "stream") for _, own in STREAMS.values() for verb in own] + [(verb, None) for verb in CAMERA]
    return dict.fromkeys((*STILL, "still", "does not move", "stays")) | _forms(verbs)


@cache
def alike_forms() -> dict[str, str]:
    """Any form of any phrase of `ALIKE` → its kind; single words mean too many things."""
    return _forms((verb, kind) for kind, verbs in ALIKE.items() for verb in verbs if " " in verb)


@cache
def known_forms() -> dict[str, str | None]:
    return spoken_forms() | alike_forms()


@cache
def similes() -> dict[str, str]:
    """ "like a pendulum" and its kind, of all that the motions of one kind are likened to."""
    said = [
        (verb[verb.index(" like ") + 1 :], kind)
        for verbs in (VERBS, ALIKE)
        for kind, known in verbs.items()
        for verb in known
        if " like " in verb
    ]
    kinds: dict[str, set[str]] = {}
    for simile, kind in said:
        kinds.setdefault(simile, set()).add(kind)
    return {simile: kind for simile, kind in said if len(kinds[simile]) == 1}


def _forms(verbs: Iterable[tuple[str, str | None]]) -> dict[str, str | None]:
    return {form(verb).lower(): kind for verb, kind in verbs for form in (str, third_person, gerund)}


@lru_cache(maxsize=64)
def any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the words, the longest where several begin alike."""
    longest = sorted(map(re.escape, words), key=len, reverse=True)
    return re.compile(r"\b(" + "|".join(longest) + r")\b", re.IGNORECASE)


def subject_of(prompt: str) -> str:
    """What an unknown motion is of, in words that the model knows."""
    found = re.match(r"(?:(?:make|let|have|i want|could) )?(.*)", prompt.strip(), re.IGNORECASE).group(1)
    for subject, words in LAYERS.items():
        if re.match(rf"({words})\b", found, re.IGNORECASE):
            return subject
    return "it"


def adverbs_of(prompt: str) -> list[str]:
    """The direction, strength and tempo that a prompt names, in its own words."""
    tables = (tuple(word for words in DIRECTIONS.values() for word in words), *STRENGTHS.values(), *TEMPOS.values())
    prompt = re.sub(r"\bup and down\b", "", prompt, flags=re.IGNORECASE)  # is no way to go
    return [word for words in tables for word in any_of(words).findall(prompt)[:1]]


def is_rigid(prompt: str) -> bool:
    """Do the words ask that the object moves in one piece: "rigidly", or a thing that does not bend in a motion that need not?"""
    if re.search(r"\b(rigidly|stiffly|in one piece)\b", prompt, re.IGNORECASE):
        return True
    thing = re.search(r"\b(" + "|".join(RIGID) + r")s?\b(.*)", prompt, re.IGNORECASE)
    if thing is None:
        return False
    kinds = known_forms()
    said = next((kinds[words.lower()] for words in any_of(tuple(kinds)).findall(thing.group(2))), "unknown")
    return said is not None and said not in SOFT  # None: the camera pans
