"""Tests of unpacking archives that may be hostile."""

import io
import tarfile

import pytest

from spanbert_keras.conversion.formats.archives import unpack
from spanbert_keras.errors import InputError


def member(name, content=b"x", **settings):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in settings.items():
        setattr(info, key, value)
    return info, content


@pytest.fixture
def archive(tmp_path):
    """Function that writes an archive of (info, content) and returns (its path, an empty folder to unpack to)."""

    def write(*members, mode="w:gz"):
        path = tmp_path / "archive.tar.gz"
        with tarfile.open(path, mode) as file:
            for info, content in members:
                file.addfile(info, io.BytesIO(content))
        (tmp_path / "in" / "folder").mkdir(parents=True)
        return path, tmp_path / "in" / "folder"

    return write


@pytest.mark.parametrize("mode", ["w:gz", "w", "w:xz"])
def test_known_files_are_extracted_without_their_folders(archive, mode):
    path, folder = archive(member("a/b/config.json", b"{}"), member("./model.pt", b"12"), member("a/README"), mode=mode)
    assert unpack(path, folder) == ["config.json", "model.pt"]
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {"config.json": b"{}", "model.pt": b"12"}


@pytest.mark.parametrize("name", ["../config.json", "/etc/config.json", "a/../../config.json", "..\\config.json"])
def test_a_path_that_leads_outside_is_rejected(archive, tmp_path, name):
    path, folder = archive(member(name))
    with pytest.raises(InputError, match="leads out of the folder"):
        unpack(path, folder)
    assert list(folder.iterdir()) == [] and not (tmp_path / "in" / "config.json").exists()


def test_links_and_devices_are_not_followed(archive, tmp_path):
    (tmp_path / "secret").write_text("secret")
    links = [
        member("config.json", b"", type=tarfile.SYMTYPE, linkname=str(tmp_path / "secret")),
        member("vocab.txt", b"", type=tarfile.FIFOTYPE),
    ]
    path, folder = archive(*links, member("model.pt"))
    assert unpack(path, folder) == ["model.pt"]
    assert [p.name for p in folder.iterdir()] == ["model.pt"]


def test_an_archive_that_unpacks_to_too_much_is_rejected_before_it_is_written(archive):
    path, folder = archive(member("README", bytes(60_000)), member("model.pt", bytes(50_000)))
    assert path.stat().st_size < 2_000
    with pytest.raises(InputError, match="unpacks to more than 100,000 bytes"):
        unpack(path, folder, max_bytes=100_000)
    assert list(folder.iterdir()) == []
    assert unpack(path, folder, max_bytes=110_000) == ["model.pt"]


def test_two_checkpoints_in_one_archive_are_rejected(archive):
    path, folder = archive(member("a/model.pt"), member("b/model.pt"))
    with pytest.raises(InputError, match=r"holds two files model\.pt"):
        unpack(path, folder)


def test_an_archive_without_a_checkpoint_is_rejected(archive):
    path, folder = archive(member("photo.jpg"))
    with pytest.raises(InputError, match="holds no checkpoint"):
        unpack(path, folder)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_an_archive_that_lacks_its_last_bytes_is_rejected(archive, mode):
    path, folder = archive(member("model.pt", bytes(range(256)) * 400), mode=mode)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="cannot be unpacked: .* cut short"):
        unpack(path, folder)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2", "w"])
def test_damaged_bytes_give_an_error_of_one_sentence(archive, mode):
    content = bytes(range(256)) * 400
    path, folder = archive(member("model.pt", content), mode=mode)
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            unpack(path, folder)
        except InputError as error:
            assert "\n" not in str(error)
        else:  # tar alone has no checksum of its members' content
            assert mode == "w" or (folder / "model.pt").read_bytes() == content


def test_a_member_with_holes_is_not_extracted(archive):
    headers = {"GNU.sparse.size": "1000000000", "GNU.sparse.map": "0,1"}
    path, folder = archive(member("vocab.txt"), member("model.pt", b"x", pax_headers=headers))
    assert unpack(path, folder) == ["vocab.txt"]


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_half_an_archive_is_rejected(archive, mode):
    content = bytes(range(256)) * 4_000
    path, folder = archive(member("model.pt", content), mode=mode)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot be unpacked: .* cut short"):
        unpack(path, folder)
