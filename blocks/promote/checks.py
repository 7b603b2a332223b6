"""A gate, and a champion that only a better model replaces."""

import inspect
import io
from contextlib import redirect_stdout
from unittest.mock import patch

from winelab.checks.authoring import after, catches, given, put, skip, skip_all, swap
from winelab.checks.comparing import close, plural
from winelab.checks.scratch import scratch_store
from winelab.core.console import shortened

NAME = "wine-quality-elasticnet"
GATE = 0.7
ALIAS = "champion"
REFUSED, KEPT, PROMOTED = "refused", "kept the champion", "promoted"

# The RMSE of the versions 1 to 6 in a registry of the check's own. Rounded, the third is no better
# than the gate.
SCRATCH = (0.75, 0.7, 0.6996, 0.65, 0.68, 0.65)
# What `promote` is asked there: the version, the champion before (0: none), and the right answer.
GATE_QUESTIONS = ((1, 0, REFUSED), (2, 0, REFUSED), (1, 4, REFUSED))
CHAMPION_QUESTIONS = ((4, 3, PROMOTED), (5, 4, KEPT), (6, 4, KEPT), (3, 0, PROMOTED))
# Asked with this gate, version 4 is refused too: the setting counts, and no figure in `promote`.
STRICTER, STRICT_QUESTION = 0.6, (4, 0, REFUSED)


# --- the student's functions, tried on versions that the check knows ---------------------------


def _furnish(client):
    """Make the versions in an empty store; the ids of their runs."""
    from mlflow.entities import Metric

    client.create_registered_model(NAME)
    ids = []
    for number, rmse in enumerate(SCRATCH):
        run = client.create_run("0").info.run_id
        # What flatters: the worse on the test, the better on what the model has seen.
        known = {"rmse": rmse, "root_mean_squared_error": rmse, "dummy_rmse": 0.8}
        known |= {"training_root_mean_squared_error": 1 - rmse}
        client.log_batch(run, [Metric(name, value, 0, 0) for name, value in known.items()])
        client.create_model_version(NAME, f"file:///scratch/{number}", run_id=run)
        ids.append(run)
    # The newest run of all is of no version.
    last = client.create_run("0").info.run_id
    client.log_batch(last, [Metric("rmse", 0.1, 0, 0)])
    return ids


def _ask(client, promote, question):
    """What `promote` did: its answer, or the error; and the champion afterwards."""
    version, before, _ = question
    for alias in client.get_registered_model(NAME).aliases:
        client.delete_registered_model_alias(NAME, alias)
    if before:
        client.set_registered_model_alias(NAME, ALIAS, before)
    try:
        answer, error = promote(client, version), ""
    except Exception as problem:
        answer, error = None, f"{type(problem).__name__}: {shortened(str(problem), 90)}"
    aliases = client.get_registered_model(NAME).aliases
    return answer, error, int(aliases.pop(ALIAS, 0)), sorted(aliases)


def _kind(found):
    """What `found` is, in words."""
    return f"a thing of the kind {type(found).__name__}, and not a run"


def _tried(namespace):
    """What the student's two functions did, found out once a look."""
    if "_tried" not in namespace:
        run_of, promote = namespace.get("run_of"), namespace.get("promote")
        found = {}
        with scratch_store() as client, redirect_stdout(io.StringIO()):
            ids = _furnish(client)
            if callable(run_of):
                try:
                    run = run_of(client, 4)
                    said = "nothing: it ends with `return`" if run is None else _kind(run)
                    found["run_of"] = getattr(getattr(run, "info", None), "run_id", said), ids[3]
                except Exception as problem:
                    found["run_of"] = shortened(f"{type(problem).__name__}: {problem}", 90), ids[3]
            if callable(promote):
                # Whatever gate is being tried out in the notebook: here it is the block's.
                variables = getattr(promote, "__globals__", {})
                with patch.dict(variables, gate=GATE):
                    for question in (*GATE_QUESTIONS, *CHAMPION_QUESTIONS):
                        found[question] = _ask(client, promote, question)
                # A gate that came as an argument's default is fixed, and fine.
                if "gate" not in inspect.signature(promote).parameters:
                    with patch.dict(variables, gate=STRICTER):
                        found["stricter"] = _ask(client, promote, STRICT_QUESTION)
        namespace["_tried"] = found
    return namespace["_tried"]


def _situation(question):
    """In words, what `promote` was asked."""
    version, before, _ = question
    there = f"with an RMSE of {SCRATCH[before - 1]}" if before else "none"
    return f"a version with an RMSE of {SCRATCH[version - 1]}, gate {GATE}, champion {there}"


def _hint(question, did):
    """What is wrong with what `promote` did; "" if nothing is."""
    version, before, right = question
    answer, error, champion, others = did
    rmse = SCRATCH[version - 1]
    said = _situation(question)
    if error:
        what = (
            f'look whether "{ALIAS}" is among the aliases before you ask for its run.'
            if "KeyError" in error or "not found" in error
            else "mend that first. promote takes the client and the version, in this order, and "
            "finds the RMSE with run_of(client, version)."
        )
        return f"promote ended with {error} ({said}): {what}"
    if others:
        return f'promote set the alias "{others[0]}" ({said}): the alias is "{ALIAS}".'
    if answer is None and not (right == PROMOTED and champion != version):
        return (
            f'promote gave no answer ({said}): say return "{right}". print only shows a text, and '
            "the function goes on."
        )
    if right == REFUSED and champion != before:
        return (
            f"promote gave the alias away, where it must refuse ({said}): compare with the gate "
            f'first, and return "{REFUSED}" there: print would not end the function. Call '
            "set_registered_model_alias in the last but one line."
        )
    if right == REFUSED and answer != REFUSED:
        return (
            f"promote answered {answer!r} ({said}): {rmse} is not below {GATE}, so return "
            f'"{REFUSED}" before anything else.'
        )
    if right == KEPT and champion != before:
        better = "equal is not better" if rmse == SCRATCH[before - 1] else "smaller is better"
        return (
            f"promote moved the alias, where the champion must stay ({said}; {better}): read the "
            'champion\'s RMSE from its own run, and return "kept the champion" if this one is not '
            "below it."
        )
    if right == PROMOTED and champion != version and not before:
        return (
            f'no alias "{ALIAS}" came to the first version that passes, and promote answered '
            f"{answer!r} ({said}): set it also where there is no champion yet. Whether there is "
            "one stands in the store, not in a variable; and compare figures as they are, not "
            "rounded."
        )
    if right == PROMOTED and champion != version:
        return (
            f'no alias "{ALIAS}" came to the version that should get it, and promote answered '
            f"{answer!r} ({said}): a smaller RMSE is better, and whether there is a champion "
            "stands in the store, not in a variable."
        )
    if answer != right:
        return f"promote answered {answer!r} ({said}): return {right!r} there."
    return ""


def _first_hint(namespace, questions):
    """The first thing that is wrong with the student's `promote` in these questions, or ""."""
    tried = _tried(namespace)
    return next((words for asked in questions if (words := _hint(asked, tried[asked]))), "")


# --- what stands in the student's store --------------------------------------------------------


def _rmse(client, version):
    """What the version's run has measured; None where it says nothing."""
    try:
        return client.get_run(version.run_id).data.metrics.get("rmse")
    except Exception:
        return None


def _decisions(versions, client):
    """Of each version of this try, oldest first: itself, its RMSE and its decision."""
    rows = []
    for version in versions:
        data = client.get_run(version.run_id).data
        rows.append((version, data.metrics["rmse"], data.tags.get("promotion")))
    return rows


def _as_good_before(versions, rmse, client):
    """Whether a version older than this try is as good: only that can have been the champion."""
    oldest = min(int(version.version) for version in versions)
    older = (
        _rmse(client, version)
        for version in client.search_model_versions(f"name='{NAME}'")
        if int(version.version) < oldest
    )
    return any(value is not None and value <= rmse for value in older)


ALIAS_LINE = '    client.set_registered_model_alias(registered_name, "champion", version)\n'
FIRST_LINE = '    rmse = run_of(client, version).data.metrics["rmse"]\n'
# What is wrong with the two functions shows without a training, in the check's own registry.
UNTRAINED = ("prepare", "candidates")
TAG_LINE = 'client.set_tag(model_info.run_id, "promotion", decision)'


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_three_candidates_are_registered(versions):
    "three models of this try are registered"
    assert len(versions) == 3, (
        f"this try made {plural(len(versions), 'version')}: if an error stands above, mend it. "
        "Leave the loop over three alphas as it was, and run the cells from the top."
    )


def _judge_gate(namespace):
    gate = namespace.get("gate")
    assert gate is not None, 'there is no `gate` yet: write gate = 0.7 in the cell "1. Settings".'
    assert isinstance(gate, (int, float)) and close(gate, GATE), (
        f"`gate` is {gate!r}: the gate of this block is 0.7, a number. Others are for trying out: "
        "put 0.7 back, and run all cells."
    )


@catches(
    "the gate is set too high",
    swap("gate", "0.7", "0.6"),
    skip(*UNTRAINED),
    hint="the gate of this block is 0.7",
)
def test_the_gate_is_set(namespace):
    "`gate` is 0.7"
    _judge_gate(namespace)


@catches(
    "run_of gives back the id of the run",
    put(
        "run-of",
        "def run_of(client, version):\n"
        "    return client.get_model_version(registered_name, version).run_id",
    ),
    skip(*UNTRAINED),
    hint="of the kind str, and not a run",
)
@catches(
    "the metric is that of MLflow's newest run",
    put(
        "run-of",
        "def run_of(client, version):\n"
        '    return client.search_runs(["0", "1"], order_by=["start_time DESC"])[0]',
    ),
    skip(*UNTRAINED),
    hint="The newest run may be another",
)
def test_the_run_of_a_version_is_found(namespace):
    "run_of(client, version) gives the run that made the version"
    assert callable(namespace.get("run_of")), (
        'there is no function `run_of` yet: write it in the cell "The gate, and the champion".'
    )
    found, right = _tried(namespace)["run_of"]
    assert found == right, (
        f"run_of gave {found} (asked for version 4 of a registry with six): ask the client for "
        "this version, and return the run of its run_id, client.get_run(...). The newest run may "
        "be another."
    )


@catches(
    "the gate was written into promote as a figure",
    swap("promote", "rmse >= gate", "rmse >= 0.7"),
    skip(*UNTRAINED),
    hint="compare with the variable `gate`",
)
@catches(
    "the answer was printed, and not given back",
    swap("promote", 'return "refused"', 'print("refused")'),
    skip(*UNTRAINED),
    hint="print would not end the function",
)
@catches(
    "the alias is set before the gate is asked",
    swap("promote", FIRST_LINE, ALIAS_LINE + FIRST_LINE),
    skip(*UNTRAINED),
    hint="compare with the gate first",
)
@catches(
    "there is no gate",
    swap("promote", '    if rmse >= gate:\n        return "refused"\n', ""),
    skip(*UNTRAINED),
    hint="where it must refuse",
)
@catches(
    "what is exactly at the gate passes",
    swap("promote", "rmse >= gate", "rmse > gate"),
    skip(*UNTRAINED),
    hint="a version with an RMSE of 0.7, gate 0.7",
)
@catches(
    "the gate the wrong way round",
    swap("promote", "rmse >= gate", "rmse <= gate"),
    skip(*UNTRAINED),
    hint="where it must refuse",
)
@catches(
    "the metric is that of the training",
    swap(
        "promote",
        'rmse = run_of(client, version).data.metrics["rmse"]',
        'rmse = run_of(client, version).data.metrics["training_root_mean_squared_error"]',
    ),
    skip(*UNTRAINED),
    hint="where it must refuse",
)
def test_promote_asks_the_gate_first(namespace):
    "promote(client, version) refuses what is not below the gate, and leaves the alias alone"
    assert callable(namespace.get("promote")), (
        'there is no function `promote` yet: write it in the cell "The gate, and the champion".'
    )
    hint = _first_hint(namespace, GATE_QUESTIONS)
    assert not hint, hint
    answer, error, *_ = _tried(namespace).get("stricter", (REFUSED, ""))
    assert answer == REFUSED and not error, (
        f"with a gate of {STRICTER}, promote still does not refuse an RMSE of "
        f"{SCRATCH[STRICT_QUESTION[0] - 1]}: compare with the variable `gate`, and not with a "
        "figure of your own."
    )


@catches(
    "the RMSE was rounded before it was compared",
    swap("promote", FIRST_LINE, FIRST_LINE + "    rmse = round(rmse, 2)\n"),
    skip(*UNTRAINED),
    hint="compare figures as they are, not rounded",
)
@catches(
    "each version that passes the gate gets the alias",
    swap("promote", "rmse >= run_of", "False and run_of"),
    skip(*UNTRAINED),
    hint="smaller is better",
)
@catches(
    "the champion is compared the wrong way round",
    swap("promote", "rmse >= run_of", "rmse <= run_of"),
    skip(*UNTRAINED),
    hint="a smaller RMSE is better",
)
@catches(
    "an equal one takes the alias",
    swap("promote", "rmse >= run_of", "rmse > run_of"),
    skip(*UNTRAINED),
    hint="equal is not better",
)
@catches(
    "the champion is looked up without asking whether there is one",
    swap("promote", '"champion" in aliases and ', ""),
    hint='look whether "champion" is among the aliases',
    error="KeyError: 'champion'",
)
@catches(
    "the best so far is kept in a variable, and not looked up in the store",
    put(
        "promote",
        "best = 1.0\n"
        "def promote(client, version):\n"
        "    global best\n"
        '    rmse = run_of(client, version).data.metrics["rmse"]\n'
        "    if rmse >= gate:\n"
        '        return "refused"\n'
        "    if rmse >= best:\n"
        '        return "kept the champion"\n'
        "    best = rmse\n" + ALIAS_LINE + '    return "promoted"',
    ),
    skip(*UNTRAINED),
    hint="stands in the store, not in a variable",
)
@catches(
    "promote says nothing",
    swap("promote", '\n    return "promoted"', ""),
    skip(*UNTRAINED),
    hint="promote gave no answer",
)
@catches(
    "the alias is written with a capital letter",
    swap("promote", 'registered_name, "champion"', 'registered_name, "Champion"'),
    skip(*UNTRAINED),
    hint='the alias is "champion"',
)
def test_promote_gives_the_alias_to_a_better_one_only(namespace):
    "promote(client, version) moves the alias to a better version, and to no other"
    assert callable(namespace.get("promote")), (
        "once there is a `promote`, it is tried here on six versions that the check makes."
    )
    hint = _first_hint(namespace, CHAMPION_QUESTIONS)
    assert not hint, hint


@catches(
    "promote was asked twice about each version, to print and to tag",
    swap(
        "candidate",
        "decision = promote(client, version)\n",
        "print(promote(client, version))\ndecision = promote(client, version)\n",
    ),
    hint="asked about it twice",
)
@catches(
    "promote is written, and never called",
    swap("candidate", f"decision = promote(client, version)\n{TAG_LINE}", 'decision = ""'),
    hint='has no tag "promotion"',
)
@catches(
    "the version is written down instead of taken from the loop",
    swap("candidate", "promote(client, version)", "promote(client, 1)"),
    hint="set what promote(client, version) answered for this version",
)
@catches(
    "the decision was put on the version",
    swap(
        "candidate",
        TAG_LINE,
        'client.set_model_version_tag(registered_name, version, "promotion", decision)',
    ),
    hint="and not on its run",
)
@catches(
    "the decision was set after the run, without its id: that opens a run",
    swap("candidate", TAG_LINE, 'mlflow.set_tag("promotion", decision)'),
    hint="Call mlflow.end_run() once",
    error="is already active",
)
def test_each_run_has_its_decision(versions, client, runs, namespace):
    'the run of each version has the right decision, as the tag "promotion"'
    if "gate" in namespace:
        _judge_gate(namespace)
    assert all(run.info.status != "RUNNING" for run in runs), (
        "a run is still open: mlflow.set_tag, asked after the `with`, opens one. Call "
        'mlflow.end_run() once; then use client.set_tag(model_info.run_id, "promotion", decision).'
    )
    best = None
    for version, rmse, decision in _decisions(versions, client):
        number = version.version
        on_version = client.get_model_version(NAME, str(number)).tags.get("promotion")
        assert decision is not None or on_version is None, (
            f"the decision stands on version {number}, and not on its run: call "
            'client.set_tag(model_info.run_id, "promotion", decision).'
        )
        assert decision is not None, (
            f'the run of version {number} has no tag "promotion": in the loop, call '
            'promote(client, version), and then client.set_tag(model_info.run_id, "promotion", '
            "decision)."
        )
        right = PROMOTED if best is None or rmse < best else KEPT
        number_now = str(client.get_registered_model(NAME).aliases.get(ALIAS, ""))
        assert not (decision == KEPT and number_now == str(number)), (
            f'version {number} is the champion, and its run has the tag "{KEPT}": promote was '
            "asked about it twice, and the second time it was the champion already. Call it once, "
            "and keep its answer: decision = promote(client, version)."
        )
        if rmse >= GATE:
            right = REFUSED
        elif best is None and decision == KEPT and _as_good_before(versions, rmse, client):
            right = KEPT
        assert decision == right, (
            f'the run of version {number} has an RMSE of {rmse:.3f} and the tag "{decision}", '
            f'which should be "{right}": set what promote(client, version) answered for this '
            "version, on this run."
        )
        best = rmse if decision == PROMOTED else best


@catches(
    "the gate of a trial was left in the settings",
    swap("gate", "0.7", "0.6"),
    hint="put 0.7 back, and run all cells",
)
@catches(
    "a stage was set, as in older courses, and no alias",
    swap(
        "promote",
        'set_registered_model_alias(registered_name, "champion", version)',
        'transition_model_version_stage(registered_name, version, "Production")',
    ),
    hint='no version has the alias "champion"',
)
@catches(
    "the alias was moved by hand, past the gate",
    after(
        "first = min(int(v.version) for v in client.search_model_versions())\n"
        'client.set_registered_model_alias(registered_name, "champion", first)'
    ),
    hint="Set it in `promote`, as its last step",
)
def test_the_champion_deserves_it(versions, client, namespace):
    'only what passed the gate has the alias "champion", and no version of this try is better'
    if "gate" in namespace:
        _judge_gate(namespace)
    rows = _decisions(versions, client)
    assert all(decision for _, _, decision in rows), (
        "not all versions of this try have been decided about, so none of them can be the "
        "champion yet: call `promote` for each, in the loop."
    )
    aliases = client.get_registered_model(NAME).aliases
    if ALIAS not in aliases and all(
        value >= GATE and decision == REFUSED for _, value, decision in rows
    ):
        return  # On this table nothing passes: then nobody is the champion, and that is right.
    assert ALIAS in aliases, (
        f'no version has the alias "{ALIAS}"'
        + (f', but "{min(aliases)}" is there' if aliases else "")
        + ": in `promote`, for a version that passes, call "
        f'client.set_registered_model_alias(registered_name, "{ALIAS}", version).'
    )
    champion = client.get_model_version(NAME, str(aliases[ALIAS]))
    mine = {str(version.version): decision for version, _, decision in rows}
    number = str(champion.version)
    assert mine.get(number, PROMOTED) == PROMOTED, (
        f'version {number} has the alias, and its run the tag "{mine.get(number)}": only what '
        f'promote answers "{PROMOTED}" to may have the alias. Set it in `promote`, as its last '
        "step, and tag what it answered."
    )
    rmse = _rmse(client, champion)
    assert rmse is not None and rmse < GATE, (
        f"version {number} has the alias, and an RMSE of {rmse}, which is not below the gate: take "
        f'the alias away, client.delete_registered_model_alias(registered_name, "{ALIAS}"), and '
        "run the cells from the top."
    )
    better = [str(version.version) for version, value, _ in rows if value < rmse]
    assert not better, (
        f"version {number} has the alias, and version {', '.join(better)} has a smaller RMSE: "
        "promote compares with the champion, and a smaller RMSE wins."
    )
