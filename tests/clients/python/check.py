"""What the client programs of the tests have in common: how they say what is not as expected."""


def expect(found, expected, about=""):
    """Fails unless the two are equal."""
    assert found == expected, f"{about or 'the value'}: expected {expected!r}, found {found!r}"


def refused(kind, text, call):
    """Fails unless `call` raises a `kind` whose message contains `text`; gives the error."""
    try:
        found = call()
    except kind as error:
        assert text in str(error), f"expected {text!r} in the error, found: {error}"
        return error
    raise AssertionError(f"expected an error with {text!r}, found the answer {found!r}")
