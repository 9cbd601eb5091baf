"""An application that others wrote, moved to Python 3: Sweepy 0.1.0, the game of mines.

It was written for Pylons 0.9.7, keeps its objects in the session and is fetched from PyPI.
"""

import pytest
from moved import Change, load, move, of_error_controller, set_up

pytestmark = pytest.mark.process

CHANGES = [
    *of_error_controller("sweepy"),
    Change(
        "Pylons 1.0 has no redirect_to.",
        "sweepy/controllers/game.py",
        "abort, redirect_to",
        "abort, redirect",
    ),
    Change(
        "Pylons 1.0 is strict about the template's context unless it is told otherwise.",
        "sweepy/config/environment.py",
        "    config['routes.map']",
        "    config['pylons.strict_tmpl_context'] = False\n    config['routes.map']",
    ),
]


def test_a_field_is_flagged_and_a_game_is_lost_and_one_is_won(tmp_path, monkeypatch):
    folder = move("Sweepy-0.1.0", "sweepy", CHANGES, tmp_path)
    set_up(folder)
    sweepy = load(folder, monkeypatch)
    # A mine in each field.
    page = sweepy.get("/game/start/2/3/0.9999999999999999").click(r"^\.$", index=0)
    assert [cell.text for cell in page.html.find_all("p", "cell")] == [*"F?????"]
    page = page.click(r"^\*$", index=1)
    assert page.text.count("background: red;") == 6
    # No mine at all.
    page = sweepy.get("/game/start/4/5/1e-300")
    assert "20 cells left" in page
    page = page.click(r"^\*$", index=7)
    assert "Well Done !" in page and "background: red;" not in page
    assert "Not Found" in sweepy.get("/nope", status=404)
