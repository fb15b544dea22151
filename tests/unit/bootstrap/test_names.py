import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.bootstrap.errors import InvalidNameError
from vsphere_operator.bootstrap.names import (
    check_hostname,
    check_instance_id,
    check_machine_name,
    normal_mac,
)


@pytest.mark.parametrize("name", ["a", "0", "workers-5d8f9-x2x7k", "a.b-c.d", "a" * 63, "1234"])
def test_an_rfc_1123_name_is_a_host_name(name: str) -> None:
    assert check_hostname(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a_b", "A", "a..b", ".a", "a.", "a b", "a\n", "ä", "a/b", "a.-b"]
)
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match="lower-case letters, digits and hyphens"):
        check_hostname(name)


def test_sixty_four_characters_are_one_too_many_and_the_message_says_so() -> None:
    with pytest.raises(InvalidNameError, match="has 64 characters and 63 are the limit; use a shorter name"):
        check_hostname("a" * 64)


@given(st.text(max_size=80))
def test_whatever_passes_as_a_host_name_needs_no_quoting_anywhere(text: str) -> None:
    try:
        name = check_hostname(text)
    except InvalidNameError:
        return
    assert 1 <= len(name) <= 63
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert all(label and label[0] != "-" != label[-1] for label in name.split("."))


@pytest.mark.parametrize("name", ["a" * 253, "md-1.x"])
def test_a_machine_name_may_be_longer_than_a_host_name(name: str) -> None:
    assert check_machine_name(name) == name


@pytest.mark.parametrize("name", ["", "a" * 254, 'a"b', "a\nb", "<MACHINE_NAME>"])
def test_what_kubernetes_would_not_take_is_no_machine_name(name: str) -> None:
    with pytest.raises(InvalidNameError, match="machine name"):
        check_machine_name(name)


@pytest.mark.parametrize("text", ["i", "5d7f3f9e-6c1a-4c55-9f63-0d1c3c6c1f10", "shop_1.2:3"])
def test_an_instance_id_that_can_be_a_directory_is_taken(text: str) -> None:
    assert check_instance_id(text) == text


@pytest.mark.parametrize("text", ["", "..", "a/b", "a b", "a" * 129, "a\n"])
def test_an_instance_id_that_cannot_be_a_directory_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError, match="instance id"):
        check_instance_id(text)


@pytest.mark.parametrize("mac", ["00:50:56:AB:cd:01", "00-50-56-ab-CD-01"])
def test_a_mac_address_is_spelled_as_the_kernel_does(mac: str) -> None:
    assert normal_mac(mac) == "00:50:56:ab:cd:01"


@pytest.mark.parametrize("mac", ["", "00:50:56:ab:cd", "00:50:56:ab:cd:0g", "005056abcd01"])
def test_what_is_no_mac_address_is_refused(mac: str) -> None:
    with pytest.raises(InvalidNameError, match="MAC address"):
        normal_mac(mac)
