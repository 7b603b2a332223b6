"""A fair challenge, a release in two steps, a rollback, and news that MLflow has signed."""

import base64
import hashlib
import hmac
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from winelab.checks.authoring import catches, hint, put, right, skip, swap
from winelab.checks.comparing import close, listed, short
from winelab.checks.looking import EXPERIMENT, REGISTERED
from winelab.checks.scratch import call, package_module, scratch_registry

CHAMPION = 'client.set_registered_model_alias(NAME, "champion", version)'
PREVIOUS = 'client.set_registered_model_alias(NAME, "previous", champion)'
CANDIDATE = 'client.delete_registered_model_alias(NAME, "candidate")'
ROLLBACK = 'client.set_registered_model_alias(NAME, "champion", aliases["previous"])'
QUICK = skip("run-challenger", "run-drill")


# --- the challenge ------------------------------------------------------------------------------


def _errors():
    """The right result, the errors of a champion and a challenger on made-up wines, and why."""
    import numpy as np

    draw = np.random.default_rng(7)
    # Of one size, so that no sample of them has another RMSE.
    even = 0.6 * draw.choice([-1.0, 1.0], 200)
    noisy = even + draw.normal(0, 0.3, 200)
    other = even + draw.normal(0, 0.3, 200)
    rmses = [float(np.sqrt((errors**2).mean())) for errors in (noisy, other)]
    worse, better = (noisy, other) if rmses[0] > rmses[1] else (other, noisy)
    # Two models that are wrong about the same wines: their own intervals overlap by far.
    spread = draw.normal(0, 0.6, 200)
    return (
        ("won", 1.04 * spread, spread, "its lead is small, and the same on every sample of wines"),
        ("lost", spread, 1.04 * spread, "it is worse on every sample of wines"),
        ("undecided", worse, better, "its lead is positive, and chance alone can make it"),
        ("undecided", better, worse, "it is worse, and chance alone can make it"),
    )


@catches("a lead above 0 is enough")
@swap("decide", 'metrics["lead_lower"] > 0', 'metrics["lead"] > 0')
@QUICK
@hint("chance alone can make it")
@catches("champion and challenger have changed places")
@swap(
    "decide",
    "measure(challenger_errors, champion_errors)",
    "measure(champion_errors, challenger_errors)",
)
@QUICK
@hint("give `measure` the challenger's errors first")
@catches("the two models' own intervals are compared, which are not paired")
@swap("decide", 'metrics["lead_lower"] > 0', 'metrics["rmse_upper"] < rmse(champion_errors)')
@QUICK
@hint("the same on every sample of wines")
@catches("the wrong end of the interval decides")
@swap("decide", 'metrics["lead_lower"] > 0', 'metrics["lead_upper"] > 0')
@QUICK
@hint("chance alone can make it")
def test_the_interval_decides(namespace):
    "a challenge is won or lost only if the whole interval of the lead is on one side of 0"
    module = package_module(namespace, "wineops.challenge")
    for result, champion, challenger, words in _errors():
        answer = call(
            module.decide,
            champion.copy(),
            challenger.copy(),
            on_error="It takes the champion's errors, then the challenger's.",
        )
        assert isinstance(answer, tuple | list) and len(answer) == 2, (
            f"decide gives back {short(answer)}: return two values, the metrics and the result."
        )
        metrics, found = answer
        expected = module.measure(challenger, champion)
        assert isinstance(metrics, dict) and metrics, (
            "decide measures nothing yet: the first value is what `measure` returns."
        )
        off = [key for key in expected if not close(float(metrics.get(key, 99)), expected[key])]
        assert not off, (
            f"{off[0]} is {short(metrics.get(off[0]), expected[off[0]])} for the challenger, and "
            f"should be {short(float(expected[off[0]]), metrics.get(off[0]))}: give `measure` the "
            "challenger's errors first, then those of the reference, the champion."
        )
        lower, upper = (float(expected[f"lead_{end}"]) for end in ("lower", "upper"))
        assert found == result, (
            f"of a challenger whose lead is {expected['lead']:.3f} ({lower:.3f} to {upper:.3f}) "
            f'decide says {short(found)}, and it is "{result}": {words}. Ask on which side '
            "of 0 lead_lower and lead_upper are."
        )


def _newest_challenge(client, written):
    """The newest finished run of a challenge since the program was written; None without one."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    wanted = (
        "attributes.run_name = 'challenge' AND attributes.status = 'FINISHED' "
        f"AND attributes.start_time > {int(written * 1000)}"
    )
    order = ["attributes.start_time DESC"]
    found = client.search_runs([experiment.experiment_id], wanted, order_by=order, max_results=1)
    return found[0] if found else None


@catches("the program was never run")
@skip("run-challenger", "run-drill")
@hint('run the cell "1. The challenge"')
def test_the_challenge_is_written_down(namespace, client):
    "the challenge is a run, and its result is a tag on the challenger's version"
    file = Path(package_module(namespace, "wineops.challenge").__file__)
    run = _newest_challenge(client, file.stat().st_mtime)
    assert run, (
        'no challenge was run since challenge.py was written: run the cell "1. The challenge".'
    )
    metrics, params = run.data.metrics, run.data.params
    missing = [key for key in ("rmse", "lead", "lead_lower", "lead_upper") if key not in metrics]
    assert not missing, (
        f"the run has no metric {listed(missing)}: finish `decide`, and run the cell "
        '"1. The challenge" again.'
    )
    lead = metrics["champion_rmse"] - metrics["rmse"]
    assert close(lead, metrics["lead"]) and metrics["lead_lower"] < metrics["lead_upper"], (
        f"the metrics on the run are not those of this challenge: the champion's RMSE minus the "
        f"challenger's is {lead:.3f}, and lead is {metrics['lead']:.3f}, from "
        f"{metrics['lead_lower']:.3f} to {metrics['lead_upper']:.3f}. See what `measure` is given."
    )
    result = "undecided"
    if metrics["lead_lower"] > 0 or metrics["lead_upper"] < 0:
        result = "won" if metrics["lead"] > 0 else "lost"
    version = client.get_model_version(REGISTERED, params["challenger"])
    tag, expected = version.tags.get("challenge"), f"{result} against version {params['champion']}"
    assert tag == expected, (
        f'version {version.version} has the tag challenge "{tag}", and its interval says '
        f'"{expected}": finish `decide`, and run the cell "1. The challenge" again.'
    )


# --- the release --------------------------------------------------------------------------------


class _Unplugged(BaseException):
    """The power cut that a check makes."""


class _Watched:
    """A client that is unplugged before it makes one change more than it may."""

    def __init__(self, client, last=99):
        self._client, self._left = client, last

    def __getattr__(self, name):
        method = getattr(self._client, name)
        if not name.startswith(("set_", "delete_", "create_", "update_")):
            return method

        def change(*arguments, **named):
            if not self._left:
                raise _Unplugged
            self._left -= 1
            return method(*arguments, **named)

        return change

    def aliases(self):
        """The aliases, each with its version as a number."""
        found = self._client.get_registered_model(REGISTERED).aliases
        return {alias: int(found[alias]) for alias in sorted(found)}


BEFORE = {"candidate": 3, "champion": 2, "previous": 1}


def _put_back(real, aliases):
    """Give the aliases to their versions again, and to no other."""
    for alias in BEFORE:
        if alias in aliases:
            real.set_registered_model_alias(REGISTERED, alias, aliases[alias])
        else:
            real.delete_registered_model_alias(REGISTERED, alias)


def _release(module, real, against=2, refuses=False, last=99):
    """Let the student's `promote` release version 3; its answer, the aliases, the smoke test."""
    tested = []

    def smoke_test(client, version):
        tested.append(version)
        if refuses:
            raise SystemExit("refused")

    module.smoke_test = smoke_test
    _put_back(real, BEFORE)
    real.set_model_version_tag(REGISTERED, "3", "challenge", f"won against version {against}")
    client = _Watched(real, last)
    answer = call(
        module.promote,
        client,
        3,
        on_error="It takes the client and the version.",
        may_raise=(SystemExit, _Unplugged),
    )
    return answer, client.aliases(), tested


@catches("the smoke test comes after the champion has moved")
@put(
    "promote",
    "def promote(client, version):\n"
    "    champion = must_have_won(client, version)\n"
    f"    {PREVIOUS}\n    {CHAMPION}\n    smoke_test(client, version)\n    {CANDIDATE}\n",
)
@QUICK
@hint("smoke_test refuses version 3, and the aliases are then")
@catches("nobody asks again whether the challenge still counts")
@swap(
    "promote",
    "must_have_won(client, version)",
    'client.get_registered_model(NAME).aliases["champion"]',
)
@QUICK
@hint("Ask must_have_won first")
@catches("the smoke test was forgotten")
@swap("promote", "    smoke_test(client, version)\n", "")
@QUICK
@hint("promote never calls smoke_test")
@catches("the refusal is swallowed")
@swap(
    "promote",
    "    smoke_test(client, version)\n",
    "    try:\n        smoke_test(client, version)\n    except SystemExit as words:\n"
    "        print(words)\n",
)
@QUICK
@hint("smoke_test refuses version 3, and the aliases are then")
def test_what_refuses_comes_first(namespace):
    "a version whose challenge no longer counts, or that fails the smoke test, changes nothing"
    module = package_module(namespace, "wineops.release")
    with scratch_registry({}, {}, {}) as real:
        _, _, tested = _release(module, real)
        assert tested, "promote never calls smoke_test: call it before anything moves."
        _, aliases, _ = _release(module, real, refuses=True)
        assert aliases == BEFORE, (
            f"smoke_test refuses version 3, and the aliases are then {aliases}. They should "
            f"still be {BEFORE}. Call smoke_test before you move any alias, and let its SystemExit "
            "through."
        )
        _, aliases, _ = _release(module, real, against=1)
    assert aliases == BEFORE, (
        "Version 3 has won against version 1, version 2 is the champion, and the aliases are then "
        f"{aliases}. They should still be {BEFORE}. Ask must_have_won first: it refuses."
    )


@catches("the champion moves before the old one is noted")
@put(
    "promote",
    "def promote(client, version):\n"
    "    champion = must_have_won(client, version)\n    smoke_test(client, version)\n"
    f"    {CHAMPION}\n    {PREVIOUS}\n    {CANDIDATE}\n",
)
@QUICK
@hint("the plug is pulled after 1 change")
@catches("the champion is taken off first")
@swap(
    "promote",
    "    smoke_test(client, version)\n",
    '    smoke_test(client, version)\n    client.delete_registered_model_alias(NAME, "champion")\n',
)
@QUICK
@hint("there is no champion")
@catches("the new version is noted as the previous one")
@swap("promote", '"previous", champion)', '"previous", version)')
@QUICK
@hint('"previous" must be the old champion, version 2')
@catches("the candidate stays")
@swap("promote", f"\n    {CANDIDATE}", "")
@QUICK
@hint("delete the alias candidate")
def test_there_is_always_a_champion(namespace):
    "at every moment there is a champion, and a way back as soon as it's the new one"
    module = package_module(namespace, "wineops.release")
    with scratch_registry({}, {}, {}) as real:
        _, aliases, _ = _release(module, real)
        assert aliases.get("champion") == 3, (
            f"after promote the aliases are {aliases}, and version 3 should be the champion."
        )
        assert aliases.get("previous") == 2, (
            f'after promote the aliases are {aliases}: "previous" must be the old champion, '
            "version 2."
        )
        assert "candidate" not in aliases, (
            f"after promote the aliases are {aliases}: delete the alias candidate at the end."
        )
        for changes in range(1, 6):
            answer, aliases, _ = _release(module, real, last=changes)
            if not isinstance(answer, _Unplugged):
                return
            moment = (
                f"if the plug is pulled after {changes} change{'s' * (changes > 1)}, the aliases"
            )
            assert "champion" in aliases, (
                f"{moment} are {aliases}: there is no champion. Setting an alias moves it; delete "
                "none but the candidate."
            )
            assert aliases["champion"] == 2 or aliases.get("previous") == 2, (
                f"{moment} are {aliases}, and a rollback finds the wrong version: set "
                '"previous" before you move "champion".'
            )


@catches("champion and previous change places")
@swap(
    "rollback",
    ROLLBACK,
    f'{ROLLBACK}\n    client.set_registered_model_alias(NAME, "previous", aliases["champion"])',
)
@QUICK
@hint("the second one brings version 3 back")
@catches("the version before by number, and not by alias")
@swap("rollback", 'aliases["previous"])', 'int(aliases["champion"]) - 1)')
@QUICK
@hint("should be version 1")
@catches("the champion is taken off before it is set")
@swap(
    "rollback",
    ROLLBACK,
    f'client.delete_registered_model_alias(NAME, "champion")\n    {ROLLBACK}',
)
@QUICK
@hint("there is no champion for a moment")
def test_rollback_goes_back(namespace):
    "a rollback makes exactly the previous version the champion, and a second one changes nothing"
    module = package_module(namespace, "wineops.release")
    bad = {"previous": 1, "champion": 3}
    with scratch_registry({}, {}, {}) as real:
        _put_back(real, bad)
        client = _Watched(real)
        call(module.rollback, client, on_error="It takes the client.")
        found = client.aliases().get("champion")
        assert found == 1, (
            "the champion was version 3, previous was version 1, and after the rollback the "
            f"champion is {'none' if found is None else f'version {found}'}: it should be version "
            '1, the one that has the alias "previous".'
        )
        call(module.rollback, client, may_raise=SystemExit)
        again = client.aliases().get("champion")
        assert again == 1, (
            f"two colleagues run a rollback, and the second one brings version {again} back: leave "
            'the alias "previous" where it is.'
        )
        _put_back(real, bad)
        client = _Watched(real, last=1)
        call(module.rollback, client, may_raise=_Unplugged)
        assert "champion" in client.aliases(), (
            "there is no champion for a moment: setting the alias moves it, so delete nothing."
        )


# --- the news -----------------------------------------------------------------------------------

SECRET, ID, NOW = "of-the-cellar", "8c1b", 1_900_000_000
BODY = b'{"data": {"alias": "champion", "version": "3"}}'


def _signed(secret, delivery, sent, body):
    digest = hmac.new(secret.encode(), f"{delivery}.{sent}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest.digest()).decode()}"


@catches("the age is not looked at")
@swap("genuine", "return abs(now - int(sent)) <= MAX_AGE", "return True")
@QUICK
@hint("Compare `now` with int(sent)")
@catches("only the body is signed")
@swap("genuine", 'f"{delivery}.{sent}.".encode() + body', "body")
@QUICK
@hint("a genuine message, 2 seconds old")
@catches("the age is compared the wrong way round")
@swap("genuine", "<= MAX_AGE", "> MAX_AGE")
@QUICK
@hint("a genuine message, 2 seconds old")
@catches("any signature will do")
@swap("genuine", "not hmac.compare_digest(expected, signature)", "not signature")
@QUICK
@hint("signed with another secret")
def test_only_what_mlflow_signed_is_genuine(namespace):
    "news count only if MLflow has signed them, and not long ago"
    module = package_module(namespace, "wineops.news")
    fresh, old = str(NOW - 2), str(NOW - 3600)
    good = _signed(SECRET, ID, fresh, BODY)
    forged = _signed("guessed", ID, fresh, BODY)
    recorded = _signed(SECRET, ID, old, BODY)
    content = 'Sign f"{delivery}.{sent}." and then the body, as bytes; MAX_AGE seconds are allowed.'
    compare = "Compare `signature` with what `sign` makes of delivery, sent and body."
    age = "Compare `now` with int(sent): more than MAX_AGE seconds are too many."
    for words, wanted, sent, body, signature, advice in (
        ("a genuine message, 2 seconds old", True, fresh, BODY, good, content),
        ("a message signed with another secret", False, fresh, BODY, forged, compare),
        ("a message with another body than was signed", False, fresh, BODY + b" ", good, compare),
        ("a genuine message that was recorded an hour ago", False, old, BODY, recorded, age),
        ("an old message with today's time on it", False, fresh, BODY, recorded, compare),
        ("a message without a signature", False, fresh, BODY, "", compare),
    ):
        answer = call(
            module.is_genuine,
            SECRET,
            ID,
            sent,
            body,
            signature,
            float(NOW),
            on_error="`sent` is a text, `body` is bytes, and `now` is a number.",
        )
        assert bool(answer) == wanted, (
            f"is_genuine says {short(answer)} of {words}, and should say {wanted}. {advice}"
        )


@catches("the drill was not run")
@skip("run-drill")
@hint('run the cell "2. The drill"')
@catches("the receiver refuses everything")
@swap("genuine", 'f"{delivery}.{sent}.".encode() + body', 'f"{sent}.".encode() + body')
@skip("run-challenger")
@hint("no news of a champion came")
def test_the_drill_went_well(namespace):
    "in the drill a version was released, taken back and released again, with news of each move"
    modules = [
        package_module(namespace, f"wineops.{one}") for one in ("challenge", "release", "news")
    ]
    written = max(Path(module.__file__).stat().st_mtime for module in modules)
    output = Path(modules[0].settings.output)
    news, copy = output / "news.jsonl", output / "drill.db"
    done = news.is_file() and copy.is_file() and news.stat().st_mtime >= written
    lines = news.read_text(encoding="utf-8").splitlines() if done else []
    assert done and (lines or news.stat().st_size == 0), (
        'there was no drill since the programs were written: run the cell "2. The drill".'
    )
    told = [json.loads(line)["data"] for line in lines]
    moves = [one["version"] for one in told if one["alias"] == "champion"]
    assert moves, (
        "no news of a champion came in the last drill: finish `is_genuine`, and run the cell "
        '"2. The drill" again.'
    )
    wanted = [moves[0], moves[1]] * 2 if len(moves) > 1 else []
    assert moves == wanted and moves[0] != moves[-1], (
        f"the news say that the champion became version {listed(moves)}, one after the other. "
        "There should be four moves: the bad one by hand, the release, the rollback, the release. "
        'See what the cell "2. The drill" prints, and finish `promote` and `rollback`.'
    )
    with closing(sqlite3.connect(copy)) as database:
        question = "SELECT alias, version FROM registered_model_aliases WHERE name = ?"
        aliases = {alias: str(number) for alias, number in database.execute(question, [REGISTERED])}
    aliases.pop("challenger", None)
    assert aliases == {"champion": moves[1], "previous": moves[0]}, (
        f"after the drill its copy of the store has the aliases {aliases}: finish `promote`, and "
        'run the cell "2. The drill" again.'
    )


RIGHT_WAYS = (
    right(
        "the result is one expression, and the metrics a copy",
        put(
            "decide",
            "def decide(champion_errors, challenger_errors):\n"
            "    metrics = measure(challenger_errors, reference_errors=champion_errors)\n"
            "    lower, upper = metrics['lead_lower'], metrics['lead_upper']\n"
            "    result = 'won' if lower > 0 else 'lost' if upper < 0 else 'undecided'\n"
            "    return [{name: float(value) for name, value in metrics.items()}, result]\n",
        ),
    ),
    right(
        "the candidate goes before the champion comes, and the rollback asks for the version",
        put(
            "promote",
            "def promote(client, version):\n"
            "    smoke_test(client, version)\n"
            "    old = must_have_won(client, version)\n"
            "    client.set_registered_model_alias(NAME, 'previous', str(old))\n"
            f"    {CANDIDATE}\n"
            "    client.set_registered_model_alias(NAME, 'champion', str(version))\n",
        ),
        swap(
            "rollback",
            'aliases["previous"])',
            'client.get_model_version_by_alias(NAME, "previous").version)',
        ),
    ),
    right(
        "age and signature are one expression, and bytes are compared",
        put(
            "genuine",
            "def is_genuine(secret, delivery, sent, body, signature, now):\n"
            "    signed = b'.'.join([delivery.encode(), sent.encode(), body])\n"
            "    right = hmac.compare_digest(sign(secret, signed).encode(), signature.encode())\n"
            "    return right and now - int(sent) < MAX_AGE\n",
        ),
    ),
    right(
        "a rollback also forgets what was previous",
        swap(
            "rollback",
            ROLLBACK,
            f'{ROLLBACK}\n    client.delete_registered_model_alias(NAME, "previous")',
        ),
    ),
)
