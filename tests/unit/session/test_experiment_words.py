"""What is measured is said once, and every further run says it."""

from __future__ import annotations

from typing import Any

import pytest

from undula.client import Client
from undula.core.errors import InputError
from undula.session.commands import Shell


def test_proposal_sample_and_data_set_say_where_the_next_file_goes(
    shell: Shell, client: Client, capsys: Any
) -> None:
    names = shell.namespace()
    names["newproposal"]("p1234")
    names["newsample"]("Fe2O3")
    names["newdataset"]("map1")

    assert dict(names["md"]) == {"proposal": "p1234", "sample": "Fe2O3", "dataset": "map1"}
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "dataset map1",
        "  next file  toy/p1234/Fe2O3/map1/NNNNN_scan.nxs",
    ]
    names["newproposal"]("p1235")
    assert dict(client.metadata) == {"proposal": "p1235"}
    names["md"]["operator"] = "anna"
    names["endproposal"]()
    assert dict(client.metadata) == {"operator": "anna"}
    assert capsys.readouterr().out.splitlines()[-2] == "ended proposal p1235"
    with pytest.raises(InputError, match="there is no proposal to end"):
        names["endproposal"]()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 65, "a.", 3, None])
def test_a_name_that_is_no_folder_is_refused(shell: Shell, name: Any) -> None:
    with pytest.raises(InputError, match="unfit as the name of a sample"):
        shell.namespace()["newsample"](name)


def test_metadata_is_a_dict_of_plain_data(shell: Shell) -> None:
    md = shell.namespace()["md"]
    assert repr(md).startswith("no metadata; md['sample'] = 'Fe2O3'")
    md["temperature"] = 12.5
    md.update({"operator": "anna", "list": (1, 2)})
    with pytest.raises(InputError, match="cannot be sent"):
        md["bad"] = object()
    with pytest.raises(InputError, match="not a finite number"):
        md["bad"] = float("nan")
    with pytest.raises(KeyError):
        del md["nothing"]
    del md["operator"]
    assert repr(md).splitlines()[:2] == ["temperature  12.5", "list         [1, 2]"]
    assert "bad" not in md
    md.clear()
    assert len(md) == 0


def test_runs_inside_a_group_say_so(shell: Shell) -> None:
    names = shell.namespace()
    with names["scan_group"]("knife edge") as uid:
        names["scan"]("samx", -1, 1, 3)
        inside = shell.view
        with names["scan_group"]("inner"):
            names["scan"]("samx", -1, 1, 3)
    assert inside is not None
    assert inside.start["scan_group"] == {"uid": uid, "name": "knife edge"}
    assert shell.view is not None
    assert shell.view.start["scan_group"]["parent"] == uid
    names["scan"]("samx", -1, 1, 3)
    assert "scan_group" not in shell.view.start
    with pytest.raises(InputError, match="no name of a group"), names["scan_group"](" "):
        pass
