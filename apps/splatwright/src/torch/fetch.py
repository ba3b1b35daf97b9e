"""Sizes and resumable downloads of wheels, for `cargo xtask torch`. Takes an order as JSON on standard input; writes
one JSON object a line. Uses nothing but Python's own library."""

import base64, hashlib, json, os, ssl, sys, time, urllib.error, urllib.parse, urllib.request

order = json.load(sys.stdin)


def opener(url):
    host = urllib.parse.urlsplit(url).hostname or ""
    context = ssl.create_default_context(cafile=order.get("cert"))
    if host in [trusted.split(":")[0] for trusted in order.get("trusted", [])]:
        context = ssl._create_unverified_context()
    handlers = [urllib.request.HTTPSHandler(context=context)]
    if order.get("proxy"):
        handlers.append(urllib.request.ProxyHandler({"http": order["proxy"], "https": order["proxy"]}))
    return urllib.request.build_opener(*handlers)


def request(url, method="GET", start=0):
    parts = urllib.parse.urlsplit(url.split("#")[0])
    headers = {"User-Agent": "splatwright", "Accept-Encoding": "identity"}
    if parts.username:
        word = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(word.encode()).decode()
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    if start:
        headers["Range"] = f"bytes={start}-"
    asked = urllib.request.Request(parts.geturl(), headers=headers, method=method)
    return opener(url).open(asked, timeout=60)


def say(**fields):
    print(json.dumps(fields), flush=True)


def size(url):
    try:
        with request(url, "HEAD") as answer:
            return int(answer.headers["Content-Length"])
    except Exception:
        return None


def once(url, part):
    """Goes on where the part ends; how long the whole is."""
    start = os.path.getsize(part) if os.path.exists(part) else 0
    with request(url, start=start) as answer:
        whole = getattr(answer, "status", None) != 206
        length = answer.headers["Content-Length"]
        total = (0 if whole else start) + int(length) if length else None
        with open(part, "wb" if whole else "ab") as file:
            if start and not whole:
                say(resumed=start)
            while True:
                piece = answer.read(1 << 20)
                if not piece:
                    break
                file.write(piece)
                say(at=file.tell(), total=total)
    return total


def get(url, path, sha256):
    part, failures = path + ".part", 0
    while True:
        before = os.path.getsize(part) if os.path.exists(part) else 0
        try:
            total = once(url, part)
            got = os.path.getsize(part)
            if total is None or got >= total:
                break
            error = f"cut short at {got} of {total} bytes"
        except urllib.error.HTTPError as problem:
            if problem.code == 416:
                # Nothing lies beyond the end of the part: it is whole, or of another file.
                break
            error = str(problem)
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"
        now = os.path.getsize(part) if os.path.exists(part) else 0
        failures = 0 if now > before else failures + 1
        if failures >= order.get("patience", 4):
            say(error=error, at=now)
            sys.exit(1)
        time.sleep(min(2 ** failures, 8) * order.get("pause", 1.0))
    digest = hashlib.sha256()
    with open(part, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    if sha256 and digest.hexdigest() != sha256:
        os.remove(part)
        say(error="hash", expected=sha256, got=digest.hexdigest())
        sys.exit(1)
    os.replace(part, path)
    say(done=os.path.getsize(path))


if "sizes" in order:
    for url in order["sizes"]:
        say(size=size(url))
else:
    get(order["url"], order["path"], order.get("sha256"))
