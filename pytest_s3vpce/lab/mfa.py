"""MFA devices as the lab knows them: virtual ones of IAM's users, whose codes are the six digits of the time.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_enable_virtual.html
"""

from __future__ import annotations

import base64
import hmac
import re
import threading
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pytest_s3vpce.lab.keys import Caller

_STEP: Final = 30
_DIGITS: Final = 6
_BESIDE: Final = (0, -1, 1)
"""A clock may be half a minute off."""
_SERIAL: Final = re.compile(r"[\w+=/:,.@-]{9,256}", re.ASCII)
_CODE: Final = re.compile(r"\d{6}", re.ASCII)


def code_at(seed: str, seconds: float) -> str:
    """The code that a device with this seed (base32) shows. https://www.rfc-editor.org/rfc/rfc6238#section-4"""
    key = base64.b32decode(seed)
    step = int(seconds) // _STEP
    digest = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 0xF
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**_DIGITS).zfill(_DIGITS)


class Devices:
    """Checks codes. Each serves once: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_sync.html"""

    def __init__(self, backends: Any) -> None:
        self._backends = backends
        """IAM's state by account and partition, read when it is needed."""
        self._lock = threading.Lock()
        self._used: set[tuple[str, str]] = set()

    def passed(self, form: Mapping[str, str], caller: Caller, *, now: datetime) -> bool:
        """Whether the caller has passed MFA with this request; Refused where it tries to and does not."""
        serial, code = form.get("SerialNumber"), form.get("TokenCode")
        if serial is None and code is None:
            return False
        if serial is None or code is None or not _SERIAL.fullmatch(serial) or not _CODE.fullmatch(code):
            what = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
            raise Refused("AccessDenied", status=403, message=what)
        seed = self._seed(serial, caller)
        if seed is None:
            what = (
                "MultiFactorAuthentication failed, unable to validate MFA code.  "
                "Please verify your MFA serial number is valid and associated with this user."
            )
            raise Refused("AccessDenied", status=403, message=what)
        shown = {code_at(seed, now.timestamp() + _STEP * beside) for beside in _BESIDE}
        with self._lock:
            if code not in shown or (serial, code) in self._used:
                what = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
                raise Refused("AccessDenied", status=403, message=what)
            self._used.add((serial, code))
        return True

    def _seed(self, serial: str, caller: Caller) -> str | None:
        """The seed of the user's own device; None where it has no such one."""
        if caller.username is None or caller.session is not None or caller.account is None:
            return None
        iam = self._backends()[caller.account][caller.arn.split(":", 2)[1]]
        if serial not in iam.get_user(caller.username).mfa_devices:
            return None
        device = iam.virtual_mfa_devices.get(serial)
        return None if device is None else str(device.base32_string_seed)
