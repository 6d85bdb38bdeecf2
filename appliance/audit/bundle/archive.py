"""A ZIP file of which every byte follows from the names and contents in it, so that none can be changed unseen.

Nothing is compressed: what a compressor makes of a text differs between versions, and has bits that mean nothing. Names
are in order, times are the earliest that the format knows. Any ZIP tool opens it.
"""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping

from appliance.audit.errors import ExportUnreadable

LARGEST = 1024 * 1024 * 1024
MOST_FILES = 10_000
MAGIC = b"PK\x03\x04"
_DATE = 0x0021
_UTF8 = 0x0800
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_MODE = 0o100644 << 16
_NAME = re.compile(r"[A-Za-z0-9._/-]{1,200}")


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive (PKWARE's APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16)."""
    out, central = io.BytesIO(), io.BytesIO()
    for name in sorted(files):
        content, raw = files[name], name.encode()
        about = (0, 0, _DATE, zlib.crc32(content), len(content), len(content), len(raw), 0)
        flags = 0 if name.isascii() else _UTF8
        place = out.tell()
        out.write(_LOCAL.pack(MAGIC, 20, flags, *about) + raw + content)
        made_by = 3 << 8 | 20  # Unix: the mode counts
        central.write(_CENTRAL.pack(b"PK\x01\x02", made_by, 20, flags, *about, 0, 0, 0, _MODE, place) + raw)
    start, listed = out.tell(), central.getvalue()
    count = len(files)
    out.write(listed + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(listed), start, 0))
    return out.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of an archive; nothing is written anywhere. Raises ExportUnreadable.

    A file that does not fit its checksum is given as it is: whoever asked compares digests and can say more.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            if len(listed) > MOST_FILES or sum(one.file_size for one in listed) > LARGEST:
                raise ExportUnreadable("the archive is larger than any that a box makes")
            names = [one.filename for one in listed]
            if not all(_NAME.fullmatch(name) for name in names):
                raise ExportUnreadable("the archive holds a file with a name that no box gives one")
            if len(set(names)) != len(names):
                raise ExportUnreadable("the archive holds two files of the same name")
            return {one.filename: _content(data, one) for one in listed}
    # zipfile says so of a password (RuntimeError) and of a newer version (NotImplementedError).
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, RuntimeError) as error:
        raise ExportUnreadable(f"not an archive, or damaged: {error}") from error


def _content(data: bytes, one: zipfile.ZipInfo) -> bytes:
    if one.compress_type != zipfile.ZIP_STORED:
        raise ExportUnreadable(f"{one.filename} was packed by another program")
    begin = data[one.header_offset : one.header_offset + _LOCAL.size]
    name, extra = _LOCAL.unpack(begin)[-2:]
    start = one.header_offset + _LOCAL.size + name + extra
    return data[start : start + one.file_size]
