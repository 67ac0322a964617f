"""Rows of CSV, as spreadsheets and programs write it: with commas, semicolons or tabs, in UTF-8 or Windows-1252.

The header shows what separates cells, or a line ``sep=;`` before it. A file with letters of which not one is UTF-8 is
read as Windows-1252, which Excel writes in western Europe and America; in a file of UTF-8 rows with damaged bytes are
errors.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bayesrm.data.unpacking import Unpacked
from bayesrm.errors import InvalidInputError

SourceRow = tuple[int, Mapping[str, Any] | InvalidInputError]
LONGEST_CELL = 2**27
_SEPARATORS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r"sep=(.)")
_UTF8_LETTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_BLOCK = 2**20


class SheetRow(dict[str, Any]):
    """A row of a sheet, in which every value is a text: lists and numbers have become one."""

    decimal_comma = False


class SemicolonRow(SheetRow):
    """A row with semicolons between its cells, as programs write where a comma stands in numbers: 0,13."""

    decimal_comma = True


def open_file(path: Path) -> io.BufferedReader:
    """A file to read, unpacked where it is packed.

    Raises
    ------
    InvalidInputError
        Where it cannot be opened.
    """
    try:
        if path.suffix == ".gz":
            return io.BufferedReader(Unpacked(path), _BLOCK)
        return open(path, "rb")
    except OSError as error:
        raise InvalidInputError(f"expected a file that can be read, got {path} ({error.strerror})") from error


def read_sheet(path: Path, notes: list[str]) -> Iterator[SourceRow]:
    """Rows of a CSV file with their numbers, as a spreadsheet shows them; rows that cannot be read are errors.

    Parameters
    ----------
    path
        The file.
    notes
        What was decided of it is added to these.

    Raises
    ------
    InvalidInputError
        Where it is no CSV, or two of its columns have one name.
    """
    csv.field_size_limit(LONGEST_CELL)
    encoding = _encoding(path)
    if encoding == "cp1252":
        notes.append(
            f"{path.name} is no UTF-8 and was read as Windows-1252: save it as UTF-8 if letters are wrong."
        )
    separator, skipped = _separator(path, encoding)
    kind = SemicolonRow if separator == ";" else SheetRow
    with open_file(path) as file, io.TextIOWrapper(file, encoding, _errors(encoding), newline="") as lines:
        for _ in range(skipped):
            next(lines)
        reader = csv.reader(lines, strict=True, delimiter=separator)
        try:
            header = [name.removeprefix("\ufeff").strip() for name in next(reader, [])]
            twice = sorted({name for name in header if name and header.count(name) > 1})
            if twice:
                raise InvalidInputError(
                    f"expected columns of different names in {path}, got {', '.join(twice)} twice"
                )
            for number, cells in enumerate(reader, 2 + skipped):
                if not cells:
                    continue
                if len(cells) != len(header):
                    yield number, InvalidInputError(f"expected {len(header)} cells, got {len(cells)}")
                else:
                    yield number, kind(zip(header, cells, strict=True))
            if not _ends_with_a_line_end(path):
                notes.append(
                    f"{path.name} ends without a line end: if it was cut off, the end of its last row is not there."
                )
        except csv.Error as error:
            raise InvalidInputError(
                f"expected CSV with double quotes in {path}, and line {reader.line_num + skipped} is none ({error})"
            ) from error
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"expected {encoding.upper()} in {path} ({error.reason})") from error


def written_like(path: Path) -> tuple[str, str]:
    """What separates the cells of a CSV file, and the encoding of one that is to open where it does.

    UTF-8 gets a byte-order mark where the file has one, and where it is in another encoding: spreadsheets that read
    that take UTF-8 without one for it.
    """
    encoding = _encoding(path)
    with open_file(path) as file:
        marked = encoding != "utf-8" or file.read(3) == codecs.BOM_UTF8
    return _separator(path, encoding)[0], "utf-8-sig" if marked else "utf-8"


def _ends_with_a_line_end(path: Path) -> bool:
    """Whether the last line is whole, as programs write it."""
    if path.suffix == ".gz":
        return True  # a packed file that was cut off cannot be unpacked
    with open_file(path) as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - 2))
        return file.read().replace(b"\0", b"").endswith((b"\n", b"\r"))


def _errors(encoding: str) -> str:
    # What is no UTF-8 becomes half characters, and the row that has them is refused as one.
    return "strict" if encoding == "utf-16" else "surrogateescape"


def _encoding(path: Path) -> str:
    """UTF-8, unless the file says that it is UTF-16 or has letters of which not one is UTF-8."""
    with open_file(path) as file:
        start = file.read(4)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if start.startswith(codecs.BOM_UTF8):
            return "utf-8"
        block, foreign = start + file.read(_BLOCK), False
        while block:
            if not block.isascii():
                if _UTF8_LETTER.search(block):
                    return "utf-8"
                foreign = True
            # A letter of several bytes may lie across the end of a block.
            tail = block[-3:]
            following = file.read(_BLOCK)
            block = tail + following if following else b""
    return "cp1252" if foreign else "utf-8"


def _separator(path: Path, encoding: str) -> tuple[str, int]:
    """What separates cells, and how many lines come before the header."""
    with open_file(path) as file, io.TextIOWrapper(file, encoding, _errors(encoding), newline="") as lines:
        try:
            line = lines.readline(LONGEST_CELL).removeprefix("\ufeff")
            said = _SEPARATOR_LINE.fullmatch(line.strip("\r\n"))
            if said:
                return said[1], 1
            # A header may have line breaks in a quoted name: enough is read to close the quote.
            while line.count('"') % 2 and (more := lines.readline(LONGEST_CELL)):
                line += more
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"expected {encoding.upper()} in {path} ({error.reason})") from error
    cells = {separator: _cells(line, separator) for separator in _SEPARATORS}
    return max(_SEPARATORS, key=lambda separator: cells[separator]), 0


def _cells(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader(io.StringIO(line, newline=""), delimiter=separator), []))
    except csv.Error:
        return 0
