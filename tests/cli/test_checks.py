"""What the library advises is said in options on the command line."""

import shlex

from hypothesis import given, settings
from hypothesis import strategies as st

from jaxalign.cli.checks import in_options
from jaxalign.cli.main import main
from jaxalign.cli.train.options import Train

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)


@given(name=NAMES)
@settings(deadline=None, max_examples=50, database=None)
def test_arguments_in_an_advice_are_options(name):
    advice = f"x/label=3.csv: pass categories='one-hot', header=True or ignore=({name!r},)"
    said = in_options(f"{advice}; name it by label=", Train)
    begin, _, end = said.partition(" --ignore ")
    assert begin == "x/label=3.csv: pass --categories one-hot, --header yes or"
    assert shlex.split(end.removesuffix("; name it by --label")) == [name]
    switches = in_options("replace it with overwrite=True, or pass defer=False", Train)
    assert switches == "replace it with --overwrite, or pass --no-defer"
    refused = in_options("batch_size must be 1, and steps must be 2", Train)
    assert refused == "--batch-size must be 1, and steps must be 2"


def test_an_advice_can_be_followed(tmp_path, capsys):
    file = tmp_path / "a.csv"
    file.write_text("when,a,y\nmon,1.5,u\ntue,,v\nmon,3.5,v\n", encoding="utf-8")
    command = ["layers", "mlp", "--data", str(file)]
    assert main(command) == 1
    assert capsys.readouterr().err.endswith("fill it, or pass --missing drop\n")
    command += ["--missing", "drop"]
    assert main(command) == 1
    assert capsys.readouterr().err.endswith("pass --categories one-hot, or --ignore when\n")
    assert main([*command, "--ignore", "when"]) == 0
