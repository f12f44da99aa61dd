"""Tables of runs, utilities, tokens and named mixtures: what is read, and what is said where that cannot be."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tasks.mixture.laws.law_fit import read_both
from tasks.mixture.laws.named_tables import read_mixtures, read_tokens
from tasks.mixture.laws.run_table import read_runs


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "runs.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "header",
    [
        "w_web,w_code,loss_a,loss_b",
        "weight_web,weight_code,a_loss,b_loss",
        "web_w,code_w,loss_a,b_loss",
        "web_weight,code_weight,a_loss,loss_b",
    ],
)
def test_columns_are_found_by_prefix_or_suffix(write, header):
    table = read_runs(write(f"{header}\n0.5,0.5,1,2\n1,3,3,4\n"))
    assert table.weights.to_dict("list") == {"web": [0.5, 0.25], "code": [0.5, 0.75]}
    assert table.losses.to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    assert list(table.weights.index) == [1, 2]


def test_columns_can_be_named(write):
    path = write("x,y,z,u,w_other\n1,1,7,8,5\n")
    table = read_runs(path, ["x", "y"], ["u"])
    assert table.weights.to_dict("list") == {"x": [0.5], "y": [0.5]}
    assert table.losses.to_dict("list") == {"u": [8]}
    marked = read_runs(write("w_x,w_y,loss_z\n1,1,7\n"), ["w_x", "y"])
    assert list(marked.weights) == ["x", "y"]


def test_an_index_of_the_file_is_kept_where_it_tells_runs_apart(write):
    assert list(read_runs(write("index,w_a,loss_x\n7,1,2\n9,1,3\n")).weights.index) == [7, 9]
    assert list(read_runs(write("index,w_a,loss_x\n7,1,2\n7,1,3\n")).weights.index) == [1, 2]


def test_parquet_and_compressed_tables_are_read_alike(tmp_path):
    frame = pd.DataFrame({"w_a": [1.0, 0.0], "w_b": [1.0, 2.0], "loss_x": [3.0, 4.0]})
    frame.to_csv(tmp_path / "runs.csv.gz", index=False)
    frame.to_parquet(tmp_path / "runs.parquet")
    for name in ("runs.csv.gz", "runs.parquet"):
        table = read_runs(tmp_path / name)
        assert table.weights.to_numpy().tolist() == [[0.5, 0.5], [0, 1]]
        assert table.losses["x"].tolist() == [3, 4]


CHECKPOINTS = """w_a,w_b,size,tokens,loss_x
0.5,0.5,1,100,4
0.5,0.5,1,200,3
0.1,0.9,1,200,2.5
0.1,0.9,1,100,2.75
0.5,0.5,2,100,
"""


def test_where_and_last_pick_one_row_a_run(write):
    table = read_runs(write(CHECKPOINTS), where=["size=1"], last="tokens")
    assert table.losses["x"].to_dict() == {2: 3.0, 3: 2.5}
    with pytest.raises(ValueError, match=r"column 'loss_x', row 5: nan is not a finite number"):
        read_runs(write(CHECKPOINTS))
    with pytest.raises(ValueError, match=r"--where 'size=3': no row; size is one of 1, 2"):
        read_runs(write(CHECKPOINTS), where=["size=3"])
    with pytest.raises(ValueError, match=r"--where 'scale=3': must be COLUMN=VALUE"):
        read_runs(write(CHECKPOINTS), where=["scale=3"])
    with pytest.raises(ValueError, match=r"--last 'steps': no such column"):
        read_runs(write(CHECKPOINTS), where=["size=1"], last="steps")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("w_a,w_b,loss_x\n1,oops,2\n", r"column 'w_b', row 1: 'oops' is not a finite number"),
        ("w_a,w_b,loss_x\n1,1,2\n1,inf,2\n", r"column 'w_b', row 2: inf is not a finite number"),
        ("w_a,w_b,loss_x\n1,1,2\n1,,2\n", r"column 'w_b', row 2: nan is not"),
        ("w_a,w_b,loss_x\n1,-1,2\n", r"weight of 'b' in row 1: -1 must be a finite number of at least 0"),
        ("w_a,w_b,loss_x\n0,0,2\n", r"the weights of row 1 sum to 0"),
        ("w_a,w_a,loss_x\n1,0,2\n", r"columns \['w_a'\] stand twice"),
        ("w_a,weight_a,loss_x\n1,0,2\n", r"'w_a' and 'weight_a' both stand for 'a'"),
        (
            "w_a,w_b,x\n1,0,2\n",
            r"no column for losses: .*name them with --losses \(the columns are w_a, w_b, x\)",
        ),
        ("a,b,loss_x\n1,0,2\n", r"no column for weights: .*--weights"),
        ("w_a,loss_x\n", r"holds no rows"),
        ("", r"cannot be read as a table"),
    ],
)
def test_what_is_wrong_is_said_with_file_column_and_row(write, text, said):
    path = write(text)
    with pytest.raises(ValueError, match=said) as error:
        read_runs(path)
    assert str(path) in str(error.value)


def test_files_that_are_no_tables_are_refused(write, tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_runs(tmp_path / "nothing.csv")
    with pytest.raises(ValueError, match=r"the ending '.json' is none of"):
        read_runs(write("{}", "runs.json"))
    with pytest.raises(ValueError, match="cannot be read as a table"):
        read_runs(write("not parquet", "runs.parquet"))


def test_the_table_to_predict_may_lack_losses(write):
    runs = write("w_a,w_b,loss_x\n1,0,2\n0,1,3\n")
    bare = write("w_b,w_a\n1,1\n", "bare.csv")
    table, others = read_both(str(runs), str(bare), losses="x")
    assert list(table.losses) == ["x"]
    assert others.losses is None
    with pytest.raises(ValueError, match=r"--predict-where \['a=1'\]: goes with --predict"):
        read_both(str(runs), None, predict_where=["a=1"])


def test_tables_by_source(write):
    assert read_tokens(write("source,tokens\nweb,1000\ncode,20\n")) == {"web": 1000, "code": 20}
    assert read_tokens(write("name,count\nweb,1000\n")) == {"web": 1000}
    mixtures = read_mixtures(write("name,w_web,w_code\ndoremi,3,1\n"))
    assert mixtures.loc["doremi"].to_dict() == {"web": 0.75, "code": 0.25}
    told = write(json.dumps({"odm": {"web": 1, "code": 1}, "web": {"web": 2}}), "mixtures.json")
    assert read_mixtures(told).to_dict("index") == {
        "odm": {"web": 0.5, "code": 0.5},
        "web": {"web": 1.0, "code": 0.0},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source,tokens\nweb,1.5\n", r"tokens of 'web' are 1.5: must be a whole number above 0"),
        ("source,tokens\nweb,0\n", r"tokens of 'web' are 0"),
        ("source,tokens\nweb,1\nweb,2\n", r"source \['web'\] stands twice"),
        ("source,a,b\nweb,1,2\n", r"must stand in a column `tokens`"),
        ("source\nweb\n", r"one column"),
        ("source,tokens\nweb,many\n", r"column 'tokens', row web: 'many' is not a finite number"),
    ],
)
def test_token_counts_that_are_none(write, text, said):
    with pytest.raises(ValueError, match=said):
        read_tokens(write(text))


def test_columns_that_say_how_a_run_was_trained_are_no_sources_and_no_losses(write, caplog):
    header = (
        "run,w_web,code_weight,weight_decay,w_init,weight_norm,loss_scale,z_loss,aux_loss,loss_x_std,val_loss"
    )
    with caplog.at_level("INFO", "mixstitch.taken"):
        path = write(f"{header}\nr0,0.8,0.2,0.1,0.02,3,128,0.01,0.2,0.1,1.5\n")
        table = read_runs(path)
    assert list(table.weights) == ["web", "code"] and list(table.losses) == ["val"]
    assert table.weights.loc["r0"].tolist() == [0.8, 0.2]
    (told,) = caplog.messages
    assert told == (
        f"{path}: read as 2 sources (web, code); 1 losses (val); left out: run, weight_decay, w_init, weight_norm, "
        "loss_scale, z_loss, aux_loss, loss_x_std"
    )


def test_such_columns_are_taken_where_they_are_named(write):
    table = read_runs(
        write("w_web,weight_decay,z_loss\n0.8,0.2,0.1\n"), weights=["web", "weight_decay"], losses=["z_loss"]
    )
    assert (list(table.weights), list(table.losses)) == (["web", "decay"], ["z"])
