"""Reading every kind of image, refusing every bad one, editing native pixels, writing atomically."""

import hashlib
import io
import os
import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from anomalyagent.errors import ImageError, ToolInputError, WorkspaceError
from anomalyagent.mcp_tools.imaging import photo as photo_module
from anomalyagent.mcp_tools.imaging.importing import PhotoCache, encode_preview, import_photo
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array, read_mask, read_photo, write_mask, write_photo

RNG = np.random.default_rng(7)
COLOR = RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8)
GREY = COLOR[..., 0]
GREY16 = (GREY.astype(np.uint16) << 4) | 5
COLOR16 = COLOR.astype(np.uint16) << 8


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_lossless_formats_come_back_to_the_bit(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    photo = read_photo(save(Image.fromarray(COLOR), tmp_path / f"a.{suffix}", **options))
    assert photo.mode == "RGB"
    assert (photo.native == COLOR).all()
    assert photo.rgb.dtype == np.float32
    assert np.allclose(photo.rgb * 255, COLOR, atol=1e-3)


def test_jpeg_is_decoded_the_same_each_time(tmp_path: Path) -> None:
    path = save(Image.fromarray(COLOR), tmp_path / "a.jpg", quality=80)
    assert read_photo(path).sha256 == read_photo(path).sha256


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (Image.fromarray(GREY), "L"),
        (Image.fromarray(np.dstack([COLOR, GREY])), "RGBA"),
        (Image.fromarray(np.dstack([GREY, GREY]), "LA"), "LA"),
        (Image.fromarray(COLOR).convert("P"), "RGB"),
        (Image.fromarray(COLOR).convert("1"), "L"),
    ],
)
def test_png_modes_are_kept_or_converted(tmp_path: Path, image: Image.Image, mode: str) -> None:
    photo = read_photo(save(image, tmp_path / "a.png"))
    assert photo.mode == mode
    assert photo.rgb.shape == (40, 56, 3)
    assert bool(photo.notes) == (image.mode in ("P", "1"))


def test_a_palette_with_transparency_gets_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(COLOR).convert("P")
    photo = read_photo(save(image, tmp_path / "a.png", transparency=3))
    assert photo.mode == "RGBA"
    assert set(np.unique(photo.native[..., 3])) <= {0, 255}


def test_cmyk_is_converted_and_noted(tmp_path: Path) -> None:
    photo = read_photo(save(Image.fromarray(COLOR).convert("CMYK"), tmp_path / "a.tiff"))
    assert photo.mode == "RGB"
    assert "CMYK" in photo.notes[0]
    assert np.abs(photo.native.astype(int) - COLOR).max() <= 2


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grey_and_color_keep_their_values(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / f"g.{suffix}"), GREY16)
    cv2.imwrite(str(tmp_path / f"c.{suffix}"), COLOR16[..., ::-1])
    grey, color = read_photo(tmp_path / f"g.{suffix}"), read_photo(tmp_path / f"c.{suffix}")
    assert (grey.mode, color.mode) == ("I;16", "RGB;16")
    assert (grey.native == GREY16).all()
    assert (color.native == COLOR16).all()


def test_12_bits_in_a_16_bit_file_are_visible() -> None:
    photo = photo_from_array(GREY16)
    assert photo.scale == (0.0, 4095.0)
    assert float(photo.rgb.max()) > 0.9


def test_a_narrow_band_of_16_bit_values_is_spread() -> None:
    photo = photo_from_array((30000 + GREY.astype(np.uint16) * 4).astype(np.uint16))
    assert float(photo.rgb.max() - photo.rgb.min()) > 0.4


def test_float_tiff_is_spread_over_16_bit_and_noted(tmp_path: Path) -> None:
    photo = read_photo(save(Image.fromarray(GREY.astype(np.float32) / 10), tmp_path / "f.tiff"))
    assert photo.mode == "I;16"
    assert "mapped" in photo.notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    image = Image.fromarray(COLOR)
    exif = Image.Exif()
    exif[274] = orientation
    path = save(image, tmp_path / "a.png", exif=exif)
    with Image.open(path) as opened:
        from PIL import ImageOps

        expected = np.array(ImageOps.exif_transpose(opened))
    assert (read_photo(path).native == expected).all()


def test_only_the_first_page_is_read_and_noted(tmp_path: Path) -> None:
    path = save(Image.fromarray(COLOR), tmp_path / "a.tiff", save_all=True, append_images=[Image.fromarray(255 - COLOR)])
    photo = read_photo(path)
    assert (photo.native == COLOR).all()
    assert "first" in photo.notes[0]


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tiff", "webp"])
def test_truncated_files_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = save(Image.fromarray(COLOR), tmp_path / f"cut.{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=f"cut.{suffix}"):
        read_photo(path)


def test_a_truncated_16_bit_color_file_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), COLOR16)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match="truncated"):
        read_photo(tmp_path / "a.png")


def test_every_short_cut_of_a_png_is_refused_or_read_never_crashes(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(COLOR).save(buffer, "PNG")
    data = buffer.getvalue()
    path = tmp_path / "cut.png"
    for length in range(1, 120, 3):
        path.write_bytes(data[:length])
        with pytest.raises(ImageError):
            read_photo(path)


def test_flipped_bytes_never_escape_as_another_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for suffix in ("png", "jpg", "bmp", "tiff", "webp"):
        data = bytearray(save(Image.fromarray(COLOR), tmp_path / f"a.{suffix}").read_bytes())
        for _ in range(25):
            broken = bytearray(data)
            for position in rng.integers(0, min(len(data), 200), 4):
                broken[position] = int(rng.integers(256))
            (tmp_path / "b").write_bytes(broken)
            with suppress(ImageError):
                read_photo(tmp_path / "b")


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "empty"), (b"hello, this is text", "not a known image"), (b"\x89PNG\r\n\x1a\n", "image")]
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ImageError, match=words):
        read_photo(tmp_path / "x.png")


def test_missing_files_and_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        read_photo(tmp_path / "none.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="is a directory"):
        read_photo(tmp_path / "folder.png")


@pytest.mark.parametrize("side", [5000, 20000, 60000])
def test_decompression_bombs_are_refused_before_decoding(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header(side, side))
    with pytest.raises(ImageError, match=r"bomb\.png.*(limit|too large)"):
        read_photo(tmp_path / "bomb.png")


def test_too_small_and_too_heavy_files_are_refused(tmp_path: Path) -> None:
    path = save(Image.fromarray(COLOR[:1, :1]), tmp_path / "one.png")
    with pytest.raises(ImageError, match="at least 32"):
        read_photo(path)
    with pytest.raises(ImageError, match="limit of 10"):
        read_photo(path, max_bytes=10)


@pytest.mark.parametrize("native", [COLOR, GREY, np.dstack([COLOR, GREY]), np.dstack([GREY, GREY]), GREY16, COLOR16])
def test_an_edit_changes_only_its_pixels_and_survives_the_file(tmp_path: Path, native: NDArray[Any]) -> None:
    photo = photo_from_array(native)
    where = np.zeros((40, 56), np.bool_)
    where[10:20, 30:50] = True
    edited = photo.edited(np.full((40, 56, 3), 0.5, np.float32), where)
    assert (edited.native[~where] == native[~where]).all()
    assert edited.mode == photo.mode
    assert edited.sha256 != photo.sha256
    assert np.allclose(edited.rgb[where], 0.5, atol=0.003)
    if photo.mode in ("RGBA", "LA"):
        assert (edited.native[..., -1] == native[..., -1]).all()
    write_photo(edited, tmp_path / "deep" / "e.png")
    again = read_photo(tmp_path / "deep" / "e.png")
    assert (again.native == edited.native).all()
    assert again.sha256 == edited.sha256


def test_edits_of_grey_photos_are_grey() -> None:
    edited = photo_from_array(GREY).edited(np.full((40, 56, 3), (1.0, 0.0, 0.0), np.float32), np.ones((40, 56), np.bool_))
    assert edited.mode == "L"
    assert (edited.native == 76).all()
    assert edited.is_grey


def test_writing_back_what_is_shown_changes_nothing() -> None:
    for native in (COLOR, GREY, GREY16, COLOR16):
        photo = photo_from_array(native)
        same = photo.edited(photo.rgb, np.ones((40, 56), np.bool_))
        assert (same.native.astype(int) - np.minimum(native, photo.scale[1]).astype(int) == 0).all()


def test_an_empty_edit_is_the_photo_and_a_wrong_size_is_refused() -> None:
    photo = photo_from_array(COLOR)
    assert photo.edited(photo.rgb, np.zeros((40, 56), np.bool_)) is photo
    with pytest.raises(ToolInputError, match="does not fit"):
        photo.edited(photo.rgb[:-1], np.zeros((40, 56), np.bool_))


def test_written_bytes_depend_on_the_pixels_only(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_photo(photo_from_array(COLOR.copy()), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("kind", ["ones", "16 bits", "blue"])
def test_a_mask_without_a_bright_pixel_marks_all_but_black(kind: str, tmp_path: Path) -> None:
    mask = GREY > 128
    ones = mask.astype(np.uint8)
    stored = {"ones": ones, "16 bits": ones.astype(np.uint16) * 9000, "blue": cv2.merge([ones * 200, ones * 0, ones * 0])}
    cv2.imwrite(str(tmp_path / "m.png"), stored[kind])
    assert (read_mask(tmp_path / "m.png") == mask).all()
    cv2.imwrite(str(tmp_path / "none.png"), np.zeros((8, 8), np.uint8))
    assert not read_mask(tmp_path / "none.png").any()


def test_masks_are_lossless(tmp_path: Path) -> None:
    mask = GREY > 128
    write_mask(mask, tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png") == mask).all()
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == "L"
        assert set(np.unique(np.array(image))) == {0, 255}


def test_a_file_in_the_place_of_a_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceError, match="cannot write"):
        write_photo(photo_from_array(COLOR), tmp_path / "file" / "a.png")
    (tmp_path / "folder").mkdir()
    with pytest.raises(WorkspaceError, match="directory"):
        write_photo(photo_from_array(COLOR), tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_a_name_that_is_too_long_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="too long"):
        write_photo(photo_from_array(COLOR), tmp_path / ("x" * 300 + ".png"))
    assert list(tmp_path.iterdir()) == []


def test_the_longest_legal_and_unicode_names_work(tmp_path: Path) -> None:
    for name in ("x" * 251 + ".png", "Mutter – ナット.png"):
        write_photo(photo_from_array(COLOR), tmp_path / name)
        assert (read_photo(tmp_path / name).native == COLOR).all()


@pytest.mark.skipif(sys.platform == "win32" or not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the temporary file becomes a link to the device that is always full
    real_open = Path.open

    def open_full(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if self.suffix == ".tmp":
            self.symlink_to("/dev/full")
            return real_open(self, "wb", *rest, **more)
        return real_open(self, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        photo_module.write_atomically(tmp_path / "a.png", b"x" * 10000)
    assert list(tmp_path.iterdir()) == []


def test_importing_copies_plain_pngs_and_converts_the_rest(tmp_path: Path) -> None:
    plain = save(Image.fromarray(COLOR), tmp_path / "a.png")
    jpeg = save(Image.fromarray(COLOR), tmp_path / "b.jpg")
    palette = save(Image.fromarray(COLOR).convert("P"), tmp_path / "c.png")
    copied = import_photo(plain, tmp_path / "out" / "a.png")
    assert copied.copied
    assert (tmp_path / "out" / "a.png").read_bytes() == plain.read_bytes()
    assert copied.source_sha256 == hashlib.sha256(plain.read_bytes()).hexdigest()
    for source in (jpeg, palette):
        converted = import_photo(source, tmp_path / "out" / "x.png")
        assert not converted.copied
        assert read_photo(tmp_path / "out" / "x.png").sha256 == converted.photo.sha256
        assert converted.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()


def test_previews_fit_their_limits() -> None:
    noise = photo_from_array(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8))
    data, mime = encode_preview(noise, 768, 60_000)
    assert mime == "image/jpeg"
    assert len(data) <= 60_000
    with Image.open(io.BytesIO(data)) as image:
        assert max(image.size) <= 768
    with pytest.raises(ImageError, match="preview"):
        encode_preview(noise, 768, 100)


def test_the_cache_is_bounded_and_notices_changed_files(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        write_photo(photo_from_array(np.full((64, 64), number, np.uint8)), path)
    one = read_photo(paths[0])
    size = one.native.nbytes + one.rgb.nbytes
    cache = PhotoCache(max_bytes=3 * size)
    photos = [cache.read(path) for path in paths]
    assert len(cache) == 3
    assert cache.used_bytes == 3 * size
    assert cache.read(paths[5]) is photos[5]
    assert cache.read(paths[0]) is not photos[0]
    write_photo(photo_from_array(np.full((80, 80), 9, np.uint8)), paths[5])
    assert cache.read(paths[5]).shape == (80, 80)


def test_another_photo_of_the_same_size_and_time_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    """`cp -p` puts one uncompressed photo in the place of another, both out of one archive."""
    path, cache = tmp_path / "part.bmp", PhotoCache()
    for grey in (40, 200):
        with path.open("r+b" if path.exists() else "wb") as file:
            Image.fromarray(np.full((64, 64, 3), grey, np.uint8)).save(file, "BMP")
        os.utime(path, ns=(1, 1))
        assert cache.read(path).native.max() == grey


def test_a_large_photo_and_its_edited_copy_are_decoded_once(tmp_path: Path) -> None:
    """Photos of 6 megapixels were decoded six times a sample."""
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        write_photo(photo_from_array(np.full((64, 64), number, np.uint8)), path)
    one = read_photo(paths[0])
    size = one.native.nbytes + one.rgb.nbytes
    cache = PhotoCache(max_bytes=size // 2, pair_bytes=2 * size)
    photos = [cache.read(path) for path in paths]
    assert [cache.read(path) is photo for path, photo in zip(paths[1:], photos[1:], strict=True)] == [True, True]
    assert cache.used_bytes == 2 * size
    small = PhotoCache(max_bytes=size // 2, pair_bytes=size)
    assert small.read(paths[0]) is small.read(paths[0])
    assert small.read(paths[1]) is small.read(paths[1])
    assert len(small) == 1


def test_what_is_larger_than_the_cache_is_read_but_not_kept(tmp_path: Path) -> None:
    write_photo(photo_from_array(COLOR), tmp_path / "a.png")
    cache = PhotoCache(max_bytes=10)
    assert isinstance(cache.read(tmp_path / "a.png"), Photo)
    assert len(cache) == 0
    with pytest.raises(ImageError):
        cache.read(tmp_path / "none.png")
