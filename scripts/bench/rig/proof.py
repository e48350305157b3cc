"""Before anything is measured: does a proxy do the work at all?"""

import http.client

from .peer import HTTP2
from .peers import CARRIES_NOTHING
from .site import KEY

OF_THE_CLIENT = "of-the-client"


class Unproven(Exception):
    """What a proxy did instead of the work."""


def prove(subject, kind, path):
    """The upstream saw our token and only it, and the answer of the case comes back whole."""
    if kind == HTTP2:
        return  # h2load counts status codes; the same process is proven by its other doors
    head = _get(subject, "/echo", "text/plain").decode()
    seen = [line for line in head.splitlines() if line.lower().startswith("authorization:")]
    ours = [line for line in seen if line.split(":", 1)[1].strip() == f"Bearer {KEY}"]
    if subject.peer not in CARRIES_NOTHING and (len(seen) != 1 or len(ours) != 1 or OF_THE_CLIENT in head):
        raise Unproven(f"the upstream saw {len(seen)} Authorization fields, {len(ours)} of them ours")
    body = _get(subject, path, None)
    size = {"/small": 200, "/medium": 10 << 10, "/large": 1 << 20}.get(path)
    if size is not None and len(body) != size:
        raise Unproven(f"{path} answered {len(body)} bytes of {size}")


def _get(subject, path, content_type):
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=10)
    try:
        connection.request("GET", subject.prefix + path, headers={"Authorization": f"Bearer {OF_THE_CLIENT}"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unproven(f"{path}: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Unproven(f"{path} answered {answer.status}: {body[:200]}")
    if content_type and not (answer.headers["content-type"] or "").startswith(content_type):
        raise Unproven(f"{path} answered {answer.headers['content-type']}")
    return body
