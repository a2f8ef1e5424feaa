"""Just enough of protocol buffers to speak Flight SQL with `pyarrow.flight`, which has Flight and no Flight SQL.

Messages are written and read field by field, from the numbers in
<https://github.com/apache/arrow/blob/main/format/FlightSql.proto>; nothing is generated.
"""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(number):
    """A number, seven bits a byte, the lowest first; a negative one as 64 bits."""
    number &= (1 << 64) - 1
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def message(*fields):
    """A message of (number, value) pairs: text, bytes, bool, int, or a list for a repeated field. None is absent."""
    written = b""
    for number, value in fields:
        if value is None:
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int):
                written += varint(number << 3 | VARINT) + varint(int(one))
            else:
                content = one.encode() if isinstance(one, str) else one
                written += varint(number << 3 | BYTES) + varint(len(content)) + content
    return written


def packed(name, *fields):
    """A Flight SQL message in the `google.protobuf.Any` in which it travels."""
    url = f"type.googleapis.com/arrow.flight.protocol.sql.{name}"
    return message((1, url), (2, message(*fields)))


def unpacked(content, name):
    """The fields of the Flight SQL message that an `Any` holds, which must be a `name`."""
    ((url,), (inner,)) = (parsed(content)[number] for number in (1, 2))
    expected = f"type.googleapis.com/arrow.flight.protocol.sql.{name}"
    assert url.decode() == expected, f"expected a {expected}, found {url}"
    return parsed(inner)


def parsed(content):
    """The fields of a message: number to the list of its values, as int or bytes."""
    fields, at = {}, 0
    while at < len(content):
        key, at = read_varint(content, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = read_varint(content, at)
        else:
            if kind == BYTES:
                size, at = read_varint(content, at)
            else:
                size = {FIXED64: 8, FIXED32: 4}[kind]
            value, at = content[at:at + size], at + size
            assert len(value) == size, "a field ends after its message"
        fields.setdefault(number, []).append(value)
    return fields


def read_varint(content, at):
    number, shift = 0, 0
    while True:
        byte = content[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
