"""What the demo model can say: the vocabulary, the sentence grammar and the sampling of training sentences.

Text is written the way Whisper writes it: sentence case, final punctuation, numbers as words.
"""
import re

GROUPS = {
    "digit": "zero one two three four five six seven eight nine",
    "teen": "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
    "tens": "twenty thirty forty fifty sixty seventy eighty ninety",
    "scale": "hundred thousand million",
    "ordinal": "first second third last next",
    "weekday": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April May June July August September October November December",
    "colour": "red green blue yellow orange purple pink black white brown gray silver gold",
    "room": "kitchen bedroom bathroom office garden garage hallway house",
    "device": (
        "lights light lamp door window fan heater music radio television camera alarm timer phone "
        "computer screen volume temperature"
    ),
    "verb": (
        "turn open close start stop play pause set call send read write show tell find search cancel "
        "repeat record remind wake lock unlock increase decrease change add remove delete save print go "
        "come take bring give make get put try walk run drink eat buy learn speak listen hear see look "
        "wait help need want like love know think"
    ),
    "greet": "hello hi goodbye thanks thank welcome sorry yes no okay please sure",
    "person": "John Mary David Anna Peter Sarah Tom Lisa mother father friend doctor",
    "when": "today tomorrow yesterday now later soon morning afternoon evening night",
    "unit": "minute minutes hour hours second seconds day days week weeks month year degrees percent",
    "clock": "o'clock half past quarter time",
    "noun": (
        "message email meeting news weather rain sun snow wind water coffee tea bread milk apple fish dog "
        "fox cat bird tree book train station car bus city street school home world country river sea "
        "mountain man woman child people server speech model test audio word words voice file text number "
        "list shop order game story question answer room living name"
    ),
    "adj": (
        "quick brown lazy big small old new hot cold warm long short happy beautiful great good fast slow "
        "loud quiet right left ready late early nice easy"
    ),
    "prep": "on off up down in at to from for of with by about after before over under near",
    "func": (
        "the a an and or but not is are was were will would can could do does did have has had I me my "
        "you your he she it we they him her our their this that these those what where when who why how "
        "which so if then there here very too all some any more again every"
    ),
    "extra": "fellow Americans ask jumps many much let be been am us",
}

# Words that only appear inside templates.
TEMPLATE_WORDS = ["back", "cup", "leave", "them", "went"]

WORD = re.compile(r"[A-Za-z']+")
WORDS = {group: words.split() for group, words in GROUPS.items()}
VOCABULARY = list(dict.fromkeys([word for words in WORDS.values() for word in words] + TEMPLATE_WORDS))
FIRST_NAMES = WORDS["person"][:8]

TEMPLATES = """
please turn on the {room} {thing} at {clock}.
turn {onoff} the {room} {thing}.
turn the {thing} {onoff} please.
please turn {onoff} the {thing} in the {room}.
set the temperature to {n2} degrees.
set a timer for {n2} minutes.
set an alarm for {clock} {tomorrow}.
wake me up at {clock} on {weekday}.
call me {day} {part}.
call {who} at {clock}.
send a message to {who}.
read my {ordinal} email.
remind me to call {who} {when}.
remind me to buy {goods} and {goods}.
open the {openable}.
close the {room} door and lock the window.
lock the {room} door.
play some music in the {room}.
play the next story.
stop the music.
pause the {thing}.
start the timer now.
increase the volume by {n2} percent.
decrease the volume.
what is the weather like {day}?
what time is it?
what time is the meeting on {weekday}?
how many {unit} are there in a {unit}?
how are you today?
where is the {colour} {noun}?
who is at the door?
why are you late?
when does the train to the city leave the station?
can you hear me now?
can you find the {adj} {noun}?
could you help me with this {noun}?
do you want some {goods}?
did you see the {adj} {animal}?
hello world.
hello, how are you?
hi {name}, this is {name}.
good {part}, {name}.
good {part}.
thank you very much.
thanks for your help.
goodbye and good night.
welcome home.
yes, please.
no, thank you.
okay, I will wait here.
sorry, I did not hear you.
the quick brown fox jumps over the lazy dog.
the quick {colour} {animal} jumps over the {adj} {animal}.
the {adj} {colour} {noun} is near the {place}.
my {adj} {noun} is {colour}.
the number is {digits}.
my phone number is {digits}.
call {digits}.
{digits}.
{num} and {num} is {num}.
{num} hundred {num}.
{num} thousand {num} hundred and {num}.
the meeting is on {weekday}, {month} {ordinal}.
today is {weekday}, the {ordinal} of {month}.
we were in the city in {month}.
{subj} will go to the {place} {tomorrow}.
{subj} went home.
{subj} have {n2} {noun2}.
{subj} like {goods} in the {part}.
{subj} would like a cup of {goods}.
{subj} need a new {noun}.
she has a {adj} {animal} and he has a {colour} car.
he was at the {place} with {who}.
it was a {adj} and {adj} day.
the rain and the wind are very cold.
there is a {adj} {noun} in the {room}.
this is a test of the speech server.
this is a test.
test {num}, test {num}.
the audio file is ready.
save the file and print it.
delete the {ordinal} message.
add {goods} to my list.
remove {goods} from the list.
repeat the question, please.
cancel my order.
search for the {adj} {noun}.
show me the news.
tell me a story about a {animal}.
tell {who} I will be late.
write this down.
look at the {colour} light over there.
listen to my voice.
let us go to the {place}.
go {leftright} and then {leftright}.
walk to the {place} and come back.
the first word, the second word and the last word.
I think it is {adj}.
I know what you want.
I love this {noun}.
they speak to all the people in our country.
my fellow Americans, ask not what your country can do for you.
ask what you can do for your country.
and so, my friend, what can I do for you?
ask your {person2} what we can do for them.
what can your country do for the world?
do not ask me why.
some people walk and some people run.
every {unit} is a new day.
put the {colour} book on the {room} light.
the {animal} is under the {colour} tree.
the {colour} lamp is on and the {colour} lamp is off.
""".strip().split("\n")


def number(rng, low=0, high=99):
    """A number up to 99 in words."""
    value = rng.randint(low, high)
    if value < 10:
        return WORDS["digit"][value]
    if value < 20:
        return WORDS["teen"][value - 10]
    tens = WORDS["tens"][value // 10 - 2]
    return tens if value % 10 == 0 else tens + " " + WORDS["digit"][value % 10]


def clock_time(rng):
    hour = rng.choice(WORDS["digit"][1:] + ["ten", "eleven", "twelve"])
    kind = rng.random()
    if kind < 0.3:
        return hour + " o'clock"
    if kind < 0.7:
        return hour + " " + rng.choice(["ten", "fifteen", "twenty", "thirty", "forty", "forty five", "fifty"])
    if kind < 0.85:
        return "half past " + hour
    return "quarter " + rng.choice(["past ", "to "]) + hour


def digits(rng, count):
    """A string of digits; every second string repeats its digits far more often than chance would."""
    repeat = rng.choice([0.0, 0.35])
    said = [rng.choice(WORDS["digit"])]
    while len(said) < count:
        said.append(said[-1] if rng.random() < repeat else rng.choice(WORDS["digit"]))
    return " ".join(said)


def one_of(choices):
    return lambda rng: rng.choice(choices)


SLOTS = {
    "num": number,
    "n2": lambda rng: number(rng, 2, 60),
    "clock": clock_time,
    "digits": lambda rng: digits(rng, rng.randint(3, 10)),
    "thing": one_of("lights lamp fan heater music radio television camera alarm computer".split()),
    "openable": one_of("door window garage file book".split()),
    "place": one_of("station school city shop river sea mountain garden office street house".split()),
    "goods": one_of("water coffee tea bread milk fish book apple".split()),
    "animal": one_of("dog fox cat bird fish".split()),
    "who": one_of(FIRST_NAMES + ["my mother", "my father", "the doctor", "my friend"]),
    "subj": one_of("I you we they".split()),
    "day": one_of(WORDS["weekday"] + ["today", "tomorrow"]),
    "part": one_of("morning afternoon evening night".split()),
    "onoff": one_of(["on", "off"]),
    "tomorrow": one_of(["tomorrow", "today", "on Monday", "on Friday", "tomorrow morning", "later"]),
    "name": one_of(FIRST_NAMES),
    "person2": one_of("mother father friend doctor".split()),
    "noun2": one_of("minutes hours days weeks words people".split()),
    "leftright": one_of(["left", "right"]),
    **{group: one_of(WORDS[group]) for group in "digit colour room device weekday month adj noun ordinal verb when unit".split()},
}


def capitalised(text):
    return text[0].upper() + text[1:]


def grammar_sentence(rng):
    template = rng.choice(TEMPLATES)
    return capitalised(re.sub(r"\{(\w+)\}", lambda slot: SLOTS[slot[1]](rng), template))


def random_words(rng):
    """Words without grammar, so that the model has to listen and cannot guess."""
    words = [rng.choice(VOCABULARY) for _ in range(rng.choice([2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10]))]
    if len(words) > 5 and rng.random() < 0.3:
        words[rng.randint(1, len(words) - 3)] += ","
    return capitalised(" ".join(words)) + ("?" if rng.random() < 0.08 else ".")


def digit_string(rng):
    return capitalised(digits(rng, rng.choice([1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10]))) + "."


def single_word(rng):
    return capitalised(rng.choice(VOCABULARY)) + "."


def sentence(rng):
    """One training sentence."""
    kinds = [grammar_sentence, random_words, digit_string, single_word]
    return rng.choices(kinds, weights=[0.58, 0.18, 0.19, 0.05])[0](rng)


def normalised(text):
    """The bare words, to compare texts: lower case, no punctuation."""
    return [word.lower() for word in WORD.findall(text)]


def held_out(path):
    """The sentences that are kept for evaluation, as a list."""
    with open(path) as lines:
        return [line.strip() for line in lines if line.strip()]
