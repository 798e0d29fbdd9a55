"""Files of what ports gave: they go with their graph, and with no other."""

from __future__ import annotations

from pathlib import Path

from undula.pipes.pictures import forget_pictures, picture_path


def test_the_pictures_of_a_graph_go_and_those_of_one_whose_name_is_longer_stay(
    tmp_path: Path,
) -> None:
    for name in ("cam", "cam.x"):
        path = picture_path(name, "total", "sum", tmp_path)
        assert path is not None
        path.touch()
    forget_pictures("cam", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cam.x.total.sum.npy"]
    forget_pictures("cam.x", tmp_path)
    assert not list(tmp_path.iterdir())
