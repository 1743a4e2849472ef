"""Workspace: what tools may reach, and what they are told when they may not."""

import os
import stat
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.workspaces import make_workspace
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomalyagent.configs.schema import LimitSettings
from anomalyagent.errors import AnomalyAgentError, ImageError, WorkspaceError
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.workspace import Workspace, reference_problem, uri_of

ATTACKS = [
    "",
    " ",
    "..",
    "../secret.png",
    "images/../../secret.png",
    "images/..",
    "/etc/passwd",
    "//server/share/secret.png",
    "~/secret.png",
    "~root/secret.png",
    "C:/secret.png",
    "c:secret.png",
    "\\\\server\\share\\secret.png",
    "..\\secret.png",
    "images\\part.png",
    "file:///etc/passwd",
    "http://localhost/secret.png",
    "part.png\0.txt",
    "part\n.png",
    "\x1b[31mpart.png",
    "%2e%2e/secret.png",
    "..%2fsecret.png",
    "%2Fetc%2Fpasswd",
    "%5c%5cserver",
    "part%00.png",
    "．．/secret.png",
    "‥/secret.png",
    "..／secret.png",
    "．．／secret.png",
    "a／b.png",
    "\ud800.png",
    "CON",
    "con.png",
    "images/NUL",
    "lpt1.png",
    "COM¹.png",
    "part.png.",
    "part.png ",
    "images /part.png",
    "a" * 256 + ".png",
    "é" * 130 + ".png",
    "a/" * 600 + "b.png",
    "image://../secret.png",
    "image://%2e%2e/secret.png",
    "image:///etc/passwd",
    "image://image://part.png",
]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "secret.png").write_bytes(b"secret")
    return make_workspace(tmp_path / "work", ("part.png", "good/nut 012.png", "good/nut_013.png"))


@pytest.mark.parametrize("ref", ATTACKS)
def test_a_reference_that_could_leave_the_workspace_is_refused(workspace: Workspace, ref: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        workspace.path_of(ref)
    assert "secret\n" not in str(caught.value)
    assert str(caught.value).isprintable()


PIECES = ["..", ".", "/", "\\", "%2e", "%2f", "%5c", "．", "／", "‥", "part.png", "good", "link", "C:", "\0", "~", "image://"]


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join))
def test_no_reference_reaches_a_file_outside(tmp_path: Path, ref: str) -> None:
    root = tmp_path / "work"
    if not root.exists():
        make_workspace(root, ("part.png", "good/part.png"))
        (tmp_path / "part.png").write_bytes(b"secret")
        (root / "link").symlink_to(tmp_path)
    workspace = Workspace(root)
    try:
        path = workspace.path_of(ref)
    except AnomalyAgentError:
        return
    assert path.resolve().is_relative_to(root.resolve())
    assert path.is_file()


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20))
def test_plain_names_in_any_script_are_fine(name: str) -> None:
    folded = unicodedata.normalize("NFKC", name)
    if "/" not in folded and reference_problem(name) is not None:
        assert reference_problem(name) == "has a name that is reserved on Windows"


def test_a_link_inside_may_be_followed_and_one_that_leads_outside_may_not(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.root / "inside.png").symlink_to("part.png")
    (workspace.root / "outside.png").symlink_to(tmp_path / "secret.png")
    (workspace.root / "up").symlink_to(tmp_path)
    (workspace.root / "loop.png").symlink_to("loop.png")
    assert workspace.path_of("inside.png") == workspace.root / "part.png"
    for ref in ("outside.png", "up/secret.png"):
        with pytest.raises(WorkspaceError, match="outside the workspace"):
            workspace.path_of(ref)
    with pytest.raises(WorkspaceError):
        workspace.path_of("loop.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_instead_of_waited_for(workspace: Workspace) -> None:
    os.mkfifo(workspace.root / "pipe.png")
    with pytest.raises(WorkspaceError, match="not a regular file"):
        workspace.read_photo("pipe.png")


def test_a_missing_image_is_answered_with_the_closest_names(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match=r"no image 'good/nut_12\.png'.*good/nut 012\.png"):
        workspace.read_photo("good/nut_12.png")


def test_a_folder_is_answered_with_images_in_it(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match=r"is a folder.*good/nut 012\.png"):
        workspace.read_photo("good")


def test_an_absolute_path_inside_is_answered_with_its_reference(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match=r"called 'good/nut_013\.png'"):
        workspace.read_photo(str(workspace.root / "good" / "nut_013.png"))


@pytest.mark.parametrize("written", ["good\\nut_013.png", "file://{root}/good/nut_013.png", "file://{root}/good/nut%5F013.png"])
def test_a_path_written_another_way_is_answered_with_its_reference(workspace: Workspace, written: str) -> None:
    with pytest.raises(WorkspaceError, match=r"called 'good/nut_013\.png'"):
        workspace.read_photo(written.format(root=workspace.root))


@pytest.mark.parametrize("start", ["", "data:image/png;base64,"])
def test_an_image_in_place_of_its_path_is_told_as_such(workspace: Workspace, start: str) -> None:
    with pytest.raises(WorkspaceError, match=r"is the data of an image, not its path.*ask the user to put the file") as caught:
        workspace.read_photo(start + "iVBORw0KGgo/+" * 100)
    assert len(str(caught.value)) < 500


def test_a_folder_of_folders_is_answered_with_the_images_below(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, tuple(f"parts/{kind}/{n}.png" for kind in ("a", "b") for n in range(4)))
    with pytest.raises(WorkspaceError, match=r"is a folder.*holds parts/a/0\.png, .*parts/b/0\.png and 3 more: name one"):
        workspace.read_photo("parts")


def test_a_bare_name_is_answered_with_the_paths_that_hold_it(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, ("bad/text.png", "bad/tiny.png", "photos/metal_nut/000.jpg"))
    with pytest.raises(WorkspaceError, match=r"Closest of 3 images there: photos/metal_nut/000\.jpg\."):
        workspace.read_photo("nut.png")


def test_photos_of_every_kind_that_is_read_are_listed(tmp_path: Path) -> None:
    names = ("a.ppm", "b.jp2", "c.PNG", "d.bmp")
    workspace = make_workspace(tmp_path, names)
    for hidden in (".e.png", "f.txt"):
        (tmp_path / hidden).write_bytes(b"")
    assert workspace.images() == sorted(names)


def test_an_empty_workspace_says_that_it_is_empty(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="holds no images"):
        Workspace(tmp_path).read_photo("part.png")


def test_the_address_of_a_resource_link_is_also_a_reference(workspace: Workspace) -> None:
    assert uri_of("good/nut 012.png") == "image://good/nut%20012.png"
    assert workspace.path_of("image://good/nut%20012.png") == workspace.path_of("good/nut 012.png")


def test_accents_are_found_however_the_file_system_stores_them(tmp_path: Path) -> None:
    stored, asked = unicodedata.normalize("NFD", "größe.png"), unicodedata.normalize("NFC", "größe.png")
    workspace = make_workspace(tmp_path, (stored,))
    assert workspace.read_photo(asked).shape == (48, 48)


@pytest.mark.skipif(os.name == "nt", reason="names there are always text")
def test_names_that_are_no_text_are_not_listed_since_no_answer_could_hold_them(workspace: Workspace) -> None:
    known = workspace.images()
    part = (workspace.root / known[0]).read_bytes()
    (workspace.root / "f\udce9").mkdir()
    for name in ("caf\udce9.png", "f\udce9/part.png"):
        (workspace.root / name).write_bytes(part)
    assert workspace.images() == known
    with pytest.raises(WorkspaceError) as refused:
        workspace.path_of("caf.png")
    str(refused.value).encode()


def test_a_file_that_is_no_image_is_refused_without_telling_where_the_folder_is(workspace: Workspace) -> None:
    (workspace.root / "notes.txt").write_text("user=me password=4711")
    with pytest.raises(ImageError) as caught:
        workspace.read_photo("notes.txt")
    assert "notes.txt" in str(caught.value)
    assert str(workspace.root) not in str(caught.value)
    assert "4711" not in str(caught.value)


def test_the_limits_of_the_settings_hold(tmp_path: Path) -> None:
    root = make_workspace(tmp_path).root
    for limits in (
        LimitSettings(max_image_pixels=47 * 48),
        LimitSettings(max_image_bytes=100),
        LimitSettings(min_image_side_px=49),
    ):
        with pytest.raises(ImageError):
            Workspace(root, limits).read_photo("part.png")


def test_a_stored_photo_is_named_by_its_content_and_reads_back_identical(workspace: Workspace) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    photo = photo_from_array(pixels)
    ref = workspace.store_photo(photo)
    assert ref == f"images/{photo.sha256[:16]}.png"
    assert workspace.store_photo(photo) == ref
    assert np.array_equal(Workspace(workspace.root).read_photo(ref).native, pixels)
    assert [path.name for path in (workspace.root / "images").iterdir()] == [ref.rpartition("/")[2]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_stored_photo_looks_the_same_to_a_workspace_that_did_not_store_it(workspace: Workspace, dtype: type) -> None:
    pixels = np.random.default_rng(4).integers(100, 120, (40, 50)).astype(dtype)
    ref = workspace.store_photo(photo_from_array(pixels))
    assert np.array_equal(workspace.read_photo(ref).rgb, Workspace(workspace.root).read_photo(ref).rgb)


def test_a_stored_mask_is_an_8_bit_png_of_0_and_255(workspace: Workspace) -> None:
    mask = np.zeros((30, 40), bool)
    mask[3:9, 5:11] = True
    ref = workspace.store_mask(mask)
    assert ref.startswith("images/")
    assert ref.endswith("_mask.png")
    assert ref == workspace.store_mask(mask.copy())
    pixels = cv2.imread(str(workspace.root / ref), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.where(mask, 255, 0))


def test_masks_of_the_same_bytes_and_another_shape_do_not_share_a_file(workspace: Workspace) -> None:
    assert workspace.store_mask(np.zeros((30, 40), bool)) != workspace.store_mask(np.zeros((40, 30), bool))


def test_storing_never_follows_a_link_out_of_the_workspace(workspace: Workspace, tmp_path: Path) -> None:
    photo = photo_from_array(np.full((32, 32), 7, np.uint8))
    victim = tmp_path / "victim.png"
    victim.write_bytes(b"precious")
    (workspace.root / "images").mkdir()
    (workspace.root / "images" / f"{photo.sha256[:16]}.png").symlink_to(victim)
    assert np.array_equal(workspace.read_photo(workspace.store_photo(photo)).native, photo.native)
    assert victim.read_bytes() == b"precious"


def test_an_images_folder_that_is_a_link_outside_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (workspace.root / "images").symlink_to(elsewhere)
    with pytest.raises(WorkspaceError):
        workspace.store_mask(np.zeros((8, 8), bool))
    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_a_workspace_error(workspace: Workspace) -> None:
    workspace.root.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(WorkspaceError, match="cannot write"):
            workspace.store_mask(np.zeros((8, 8), bool))
    finally:
        workspace.root.chmod(stat.S_IRWXU)


def test_a_file_in_place_of_the_images_folder_is_a_workspace_error(workspace: Workspace) -> None:
    (workspace.root / "images").write_text("")
    with pytest.raises(WorkspaceError, match="cannot write"):
        workspace.store_mask(np.zeros((8, 8), bool))


def test_a_changed_file_is_read_again(workspace: Workspace) -> None:
    before = workspace.read_photo("part.png")
    path = workspace.root / "part.png"
    path.write_bytes(cv2.imencode(".png", np.zeros((33, 34, 3), np.uint8))[1].tobytes())
    assert workspace.read_photo("part.png").shape == (33, 34) != before.shape


def test_a_workspace_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("missing", "file"):
        with pytest.raises(WorkspaceError):
            Workspace(tmp_path / name)
