"""What the user of this machine trusts: where a key may be sent, and which folders and hosts the page may name.

In the environment:

    MIXSTITCH_TRUSTED="OPENAI_API_KEY=api.openai.com,http://gpu-box:8000"    pairs of variable and host; hosts alone
    MIXSTITCH_FOLDERS="/data/corpora:/data/tables"

or in `trusted.yaml` of the home, where MIXSTITCH_HOME names it (a folder that came from somebody else may hold a
`.mixstitch` with one):

    keys: {OPENAI_API_KEY: [api.openai.com]}
    hosts: [http://gpu-box:8000]
    folders: [/data/corpora, /data/tables]

No recipe and no form adds to it. A host is [http://]name[:port]: without http:// text and keys go there encrypted
or not at all, but for this machine itself.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

FILE = "trusted.yaml"
PORTS = {"http": 80, "https": 443}
SECTIONS = ("keys", "hosts", "folders")
# What the declaration of a setting adds (`json_schema_extra`) where it opens this machine, by one of:
OPENS = "opens"
CODE: dict[str, Any] = {OPENS: "code"}  # a folder whose code is run
PLACE: dict[str, Any] = {OPENS: "place"}  # text that is a path; a setting of type Path need not say so
PERHAPS_PLACE: dict[str, Any] = {
    OPENS: "perhaps place"
}  # text that is a path or the name of something elsewhere
HOST: dict[str, Any] = {OPENS: "host"}  # a URL that text of documents is sent to
RESULTS_HOST: dict[str, Any] = {OPENS: "results host"}  # a URL that settings and results are sent to


@dataclass(frozen=True)
class Host:
    """A place that text may be sent to; scheme '': https, on this machine http too."""

    scheme: str
    name: str
    port: int | None

    def is_of(self, url: str) -> bool:
        """Whether a URL (with its scheme) leads there."""
        asked = parse_host(url)
        schemes = (self.scheme,) if self.scheme else ("https", "http") if self.is_loopback else ("https",)
        ports = [port or PORTS[asked.scheme] for port in (self.port, asked.port)]
        return self.name == asked.name and asked.scheme in schemes and ports[0] == ports[1]

    @property
    def is_loopback(self) -> bool:
        if self.name == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.name).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class Trusted:
    """Pairs (variable, host), hosts that the page may name, and folders that it may name."""

    keys: tuple[tuple[str, Host], ...] = ()
    hosts: tuple[Host, ...] = ()
    folders: tuple[Path, ...] = ()

    def check_key(self, variable: str, url: str, setting: str) -> None:
        """Raises ValueError, saying how to trust it, unless the variable's value may be sent to that URL."""
        if any(name == variable and host.is_of(url) for name, host in self.keys):
            return
        asked = parse_host(url)
        scheme = "" if asked.scheme == "https" or asked.is_loopback else "http://"
        name = f"[{asked.name}]" if ":" in asked.name else asked.name
        wanted = f"{scheme}{name}" + (f":{asked.port}" if asked.port else "")
        raise ValueError(
            f"{setting}: the value of {variable} may not be sent to {asked.scheme}://{wanted.removeprefix(scheme)}; "
            f"allowed: hosts that you trust with it, on this machine: MIXSTITCH_TRUSTED={variable}={wanted} in the "
            f"environment, or in $MIXSTITCH_HOME/{FILE}: keys: {{{variable}: [{wanted!r}]}}"
        )

    def names_host(self, url: str) -> bool:
        """Whether the user has named the host of that URL, with a key or without."""
        return any(host.is_of(url) for host in (*self.hosts, *(host for _, host in self.keys)))


def what_is_trusted() -> Trusted:
    """By the environment and by the file of the home that it names. Raises ValueError for what cannot be read."""
    pairs, hosts = _from_words(os.environ.get("MIXSTITCH_TRUSTED", ""))
    folders = [one for one in os.environ.get("MIXSTITCH_FOLDERS", "").split(os.pathsep) if one]
    home = os.environ.get("MIXSTITCH_HOME")
    told = _read(Path(home).expanduser() / FILE) if home else {}
    for variable, names in told.get("keys", {}).items():
        pairs += [(str(variable), parse_host(name)) for name in names]
    hosts += [parse_host(name) for name in told.get("hosts", [])]
    folders += told.get("folders", [])
    return Trusted(tuple(pairs), tuple(hosts), tuple(Path(one).expanduser().resolve() for one in folders))


def parse_host(text: str) -> Host:
    """[scheme://]name[:port] of a URL or an entry. Raises ValueError for anything else."""
    try:
        scheme, separator, _ = text.partition("://")
        parts = urlsplit(text if separator else f"//{text}")
        name, port = parts.hostname, parts.port
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{text!r}: no host; allowed: name, name:port or http://name:port") from error
    if not name or parts.username or (separator and scheme not in PORTS) or (not separator and parts.path):
        raise ValueError(f"{text!r}: no host; allowed: name, name:port or http://name:port")
    return Host(scheme if separator else "", name, port)


def _from_words(words: str) -> tuple[list[tuple[str, Host]], list[Host]]:
    pairs, hosts = [], []
    for word in filter(None, map(str.strip, words.split(","))):
        variable, separator, name = word.partition("=")
        try:
            if separator:
                pairs.append((variable, parse_host(name)))
            else:
                hosts.append(parse_host(word))
        except ValueError as error:
            raise ValueError(f"MIXSTITCH_TRUSTED: {error}") from error
    return pairs, hosts


def _read(path: Path) -> dict[str, Any]:
    """The file's sections, none where there is no file."""
    form = "keys: {VARIABLE: [host, ...]}, hosts: [host, ...], folders: [folder, ...]"
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(
            f"{path}: cannot be read: {' '.join(str(error).split())}; allowed: {form}"
        ) from error
    if not isinstance(told, dict) or not set(told) <= set(SECTIONS):
        raise ValueError(f"{path}: allowed: {form}")
    keys = told.get("keys", {})
    lists = [
        told.get("hosts", []),
        told.get("folders", []),
        *(keys.values() if isinstance(keys, dict) else [None]),
    ]
    if not all(isinstance(one, list) and all(isinstance(word, str) for word in one) for one in lists):
        raise ValueError(f"{path}: allowed: {form}")
    for host in (*told.get("hosts", []), *(name for names in keys.values() for name in names)):
        try:
            parse_host(host)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return told
