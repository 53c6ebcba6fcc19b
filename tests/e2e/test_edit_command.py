"""`retouch edit` as a user runs it, against a `retouch up` with every part real: one picture, and many."""

import signal
import subprocess

import pytest
from PIL import Image

from tests.parts import stack as parts
from tests.parts.stack import PICTURE, eventually, listed, program
from tests.parts.terminal import at_terminal

PNG = b"\x89PNG\r\n\x1a\n"


# --- one edit from the command line ---


def test_an_edit_comes_home_under_a_name_that_is_free(stack, tmp_path):
    done = [
        program("edit", PICTURE, prompt, folder=tmp_path, environ=stack.environ)
        for prompt in ("Make it warm", "Make it cold")
    ]
    assert [answer.returncode for answer in done] == [0, 0]
    names = [answer.stdout.decode().strip() for answer in done]
    assert names == ["landscape-retouched.png", "landscape-retouched-2.png"]
    assert all((tmp_path / name).read_bytes().startswith(PNG) for name in names)
    assert b"sandbox: nothing was bought" in done[0].stderr


def test_the_same_command_again_buys_nothing_and_finds_its_picture(stack, tmp_path):
    asked = ["edit", PICTURE, "Make it a quiet morning", "--seed", "7", "--json"]
    first, second, forced = [
        program(*asked, *more, folder=tmp_path, environ=stack.environ) for more in ([], [], ["--force"])
    ]
    assert [answer.returncode for answer in (first, second, forced)] == [0, 0, 0]
    assert b"it is not bought again" in second.stderr
    assert listed(second)[0]["id"] == listed(first)[0]["id"]
    assert listed(second)[0]["saved_to"] == listed(first)[0]["saved_to"]
    assert listed(forced)[0]["id"] != listed(first)[0]["id"]


def test_options_reach_the_edit(stack):
    options = ["--width", "512", "--height", "256", "--steps", "7", "--seed", "99", "--priority", "bulk"]
    (edit,) = listed(stack.program("edit", PICTURE, "Make it small", *options, "--no-wait", "--json"))
    assert edit["priority"] == "bulk"
    assert {name: edit["input"][name] for name in ("width", "height", "steps", "seed")} == {
        "width": 512, "height": 256, "steps": 7, "seed": 99,
    }  # fmt: skip


def test_a_picture_goes_to_stdout_and_everything_else_does_not(stack):
    answer = stack.program("edit", PICTURE, "Make it a stream of bytes", "-o", "-")
    assert answer.returncode == 0
    assert answer.stdout.startswith(PNG)
    assert answer.stdout.rstrip().endswith(b"IEND\xaeB`\x82")
    assert b"accepted" in answer.stderr


def test_json_shows_the_edit_and_where_its_picture_is(stack, tmp_path):
    answer = stack.program("edit", PICTURE, "Make it sepia", "-o", str(tmp_path / "out.png"), "--json")
    (edit,) = listed(answer)
    assert edit["status"] == "succeeded"
    assert edit["livemode"] is False
    assert edit["saved_to"] == str(tmp_path / "out.png")
    assert len((tmp_path / "out.png").read_bytes()) == edit["result"]["bytes"]


def test_an_edit_that_fails_ends_with_one_and_its_reason(stack):
    answer = stack.program("edit", PICTURE, "Make it sepia [fault:moderated]")
    assert answer.returncode == 1
    assert b"failed: moderated" in answer.stderr
    assert answer.stdout == b""


def test_no_wait_gives_the_id_that_the_other_commands_take(stack):
    answer = stack.program("edit", PICTURE, "Make it patient", "--no-wait")
    assert answer.returncode == 0
    edit_id = answer.stdout.decode().strip()
    assert edit_id.startswith("edit_")

    assert listed(stack.program("status", edit_id, "--json"))[0]["id"] == edit_id
    assert edit_id in stack.program("status").stdout.decode()
    assert edit_id in [edit["id"] for edit in listed(stack.program("status", "--json"))]
    explained = stack.program("explain", edit_id)
    assert explained.stdout.decode().startswith(edit_id)
    eventually(lambda: b"succeeded" in stack.program("status", edit_id).stdout, "the edit to succeed")
    late = stack.program("cancel", edit_id)
    assert late.returncode == 1
    assert b"has left the queue" in late.stderr


def test_ctrl_c_leaves_the_edit_and_says_how_to_go_on(stack):
    command = [*parts.PROGRAM, "edit", PICTURE, "Make it sepia [fault:slow]"]
    waiting = subprocess.Popen(
        command, cwd=stack.folder, env=stack.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    edit_id = waiting.stderr.readline().decode().split()[0]
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=90)
    assert waiting.returncode == 130
    assert f"{edit_id} continues; `retouch status {edit_id}`".encode() in err
    assert out == b""
    assert stack.program("status", edit_id).returncode == 0


# --- many edits ---


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    with Image.open(PICTURE) as picture:
        for number in range(1, 4):
            picture.resize((256 + 8 * number, 256)).save(folder / f"p{number}.jpg")
    (folder / "note.txt").write_text("no picture")
    return folder


def test_a_folder_is_edited_side_by_side_and_a_repeated_command_goes_on(stack, album, tmp_path):
    asked = ["edit", str(album), "Make it a folder of snow", "-o", str(tmp_path / "out")]
    first = stack.program(*asked)
    assert first.returncode == 0, first.stderr.decode()
    names = ["p1-retouched.png", "p2-retouched.png", "p3-retouched.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert sorted(first.stdout.decode().split()) == [str(tmp_path / "out" / name) for name in names]
    assert b"3 of 3 succeeded" in first.stderr
    assert b"skipped (not pictures): 1" in first.stderr
    assert b"[3/3]" in first.stderr

    (tmp_path / "out" / "p2-retouched.png").unlink()
    with Image.open(PICTURE) as picture:
        picture.resize((512, 512)).save(album / "p4.jpg")
    again = stack.program(*asked, "--json")
    assert again.returncode == 0
    assert b"4 of 4 succeeded" in again.stderr
    assert b"3 bought before and reused" in again.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*names, "p4-retouched.png"]
    edits = {edit["source"]: edit for edit in listed(again)}
    assert set(edits) == {str(album / f"p{number}.jpg") for number in range(1, 5)}
    assert all(edit["provider"]["tasks_bought"] == 1 for edit in edits.values())


def test_where_some_fail_the_others_come_home_and_it_ends_with_one(stack, album, tmp_path):
    (album / "broken.png").write_bytes(PNG + b"and nothing more")
    answer = stack.program("edit", str(album), PICTURE, "Make it warm", "-o", str(tmp_path / "out"), "--json")
    assert answer.returncode == 1
    assert b"4 of 5 succeeded" in answer.stderr
    assert b"1 failed" in answer.stderr
    assert len(list((tmp_path / "out").iterdir())) == 4
    (refused,) = [edit for edit in listed(answer) if edit["id"] is None]
    assert refused["source"].endswith("broken.png")
    assert refused["error"]["message"]


def test_failures_at_the_provider_are_counted_and_told(stack, album, tmp_path):
    answer = stack.program("edit", str(album), "Make it odd [fault:moderated]", "-o", str(tmp_path / "out"))
    assert answer.returncode == 1
    assert b"0 of 3 succeeded" in answer.stderr
    assert answer.stderr.count(b"failed: moderated") == 3
    assert answer.stdout == b""


def test_many_can_be_handed_in_without_waiting(stack, album):
    answer = stack.program("edit", str(album), "Make it late", "--no-wait")
    assert answer.returncode == 0
    ids = answer.stdout.decode().split()
    assert len(set(ids)) == 3
    assert all(edit_id.startswith("edit_") for edit_id in ids)
    assert b"3 of 3 submitted" in answer.stderr


def test_ctrl_c_among_many_says_that_the_same_command_goes_on(stack, album, tmp_path):
    command = [*parts.PROGRAM, "edit", str(album), "Make it slow [fault:slow]", "-o", str(tmp_path / "out")]
    waiting = subprocess.Popen(
        command, cwd=stack.folder, env=stack.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with stack.http() as api:
        handed_in = lambda: [  # noqa: E731 - asked again and again
            edit for edit in api.get("/v1/edits").json()["data"] if edit["input"]["prompt"].startswith("Make it slow")
        ]
        eventually(lambda: len(handed_in()) == 3, "all to be handed in")
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=90)
    assert waiting.returncode == 130
    assert b"the same command follows them" in err
    assert out == b""
    assert list((tmp_path / "out").iterdir()) == []


def test_at_a_terminal_many_edits_have_one_bar(stack, album, tmp_path):
    asked = ["edit", str(album), "Make it bar", "-o", str(tmp_path / "out")]
    code, shown = at_terminal(*asked, folder=stack.folder, environ=stack.environ, until=b"3 of 3 succeeded")
    assert code == 0
    assert b"3/3" in shown
    assert b"\x1b[" in shown
    assert str(tmp_path / "out" / "p1-retouched.png").encode() in shown


# --- before anything is bought ---


def test_a_dry_run_tells_the_price_and_leaves_nothing(stack):
    prompt = "Make it a thought and no more"
    answer = stack.program("edit", PICTURE, prompt, "--dry-run")
    assert answer.returncode == 0, answer.stderr.decode()
    assert f"{PICTURE}: $0.02" in answer.stdout.decode()
    assert b"dry run: nothing was submitted" in answer.stderr
    with stack.http() as api:
        assert prompt not in [edit["input"]["prompt"] for edit in api.get("/v1/edits").json()["data"]]


def test_a_dry_run_of_many_adds_up_and_finds_what_would_be_refused(stack, album):
    address = "https://example.com/house.jpg"
    told = stack.program("edit", str(album), address, "Make it all", "--dry-run", "--json")
    assert told.returncode == 0, told.stderr.decode()
    prices = listed(told)
    assert [price["cost"]["usd"] for price in prices] == ["0.02"] * 4
    assert prices[-1]["source"] == address
    assert b"$0.08 in total" in told.stderr

    (album / "broken.png").write_bytes(PNG + b"and nothing more")
    refused = stack.program("edit", str(album), "Make it all", "--dry-run")
    assert refused.returncode == 1
    assert b"broken.png: " in refused.stderr
    assert b"1 would be refused" in refused.stderr
