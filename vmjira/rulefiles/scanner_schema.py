"""The keys of scanners.yaml; a connector's own options are checked for their shape only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema

from vmjira.rulefiles import cron, parsing
from vmjira.rulefiles.fields import Choice, Flag, Keys, ListOf, Secret, Section, Shape, Text
from vmjira.rulefiles.problems import UNKNOWN
from vmjira.rulefiles.words import quoted

COMMON = ("id", "type", "fetch", "expect", "timezone")
CONNECTION = (
    "url", "username", "password", "access_key", "secret_key", "token", "scans", "history", "verify", "ca_file",
)  # fmt: skip

#: Type → keys that it must have, further keys that it may have.
TYPES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "folder": (("path",), ("pattern",)),
    "upload": ((), ()),
    "nessus": (("url",), CONNECTION),
    "tenable": ((), CONNECTION),  # the cloud has one address
    "tenable-sc": (("url",), CONNECTION),
    "insightvm": (("url",), CONNECTION),
    "nexpose-xml": (("url",), CONNECTION),
    "gvm": (("url",), (*CONNECTION, "ssh_password")),
    "qualys": (("url",), CONNECTION),
    "withsecure": (("url",), (*CONNECTION, "columns")),
}


def _keys_of(kind: str) -> dict[str, Any]:
    """`options_of_its_type` for one type, as JSON Schema."""
    needed, possible = TYPES[kind]
    return {
        "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
        "then": {
            "required": list(needed),
            "propertyNames": {"enum": list(dict.fromkeys((*COMMON, *needed, *possible)))},
        },
    }


class ColumnsSchema(Keys):
    id = Text("Of the vulnerability, in a finding.", "PluginGuidId", default="PluginGuidId")
    port = Text("In a finding.", "Port", default="none")
    protocol = Text("In a finding.", "Protocol", default="none")
    output = Text("What the check saw, in a finding.", "Evidence", default="none")
    title = Text("In the details of a vulnerability, like all below.", "Title", default="Name")
    severity = Text("High, Medium, Low or Information.", "Risk", default="RiskLevel")
    family = Text("A kind of vulnerabilities.", "Family", default="VulnerabilityCategory")
    synopsis = Text("In one sentence.", "Summary", default="Synopsis")
    description = Text("At length.", "Description", default="none")
    solution = Text("What to do.", "Solution", default="none")
    cvss = Text("Base score.", "CVSS3BaseScore", default="CVSSBaseScore")
    cves = Text("CVEs, as text or as a list of names.", "CVEs", default="CVEReferences")


class ScannerSchema(Keys):
    id = Text("Short name.", "nessus-hq", parse=parsing.id_, pattern=parsing.ID, required=True)
    type = Choice("What it is.", "nessus", of=tuple(TYPES), required=True)
    fetch = Text(
        "When to look for new scans: a cron expression of five fields, in the policy's time zone. Days of the week "
        "by name; where both kinds of days are given, both must hold.",
        "30 6 * * mon-fri",
        parse=cron.check,
        default="only when asked",
    )
    expect = Text(
        "At least so often a scan is expected; without one for twice as long, the scanner is shown and counted as "
        "silent.",
        "7d",
        parse=parsing.duration,
        pattern=parsing.DURATION,
        default="judged by how often scans came before",
    )
    timezone = Text(
        "Time zone of times in its scans that name none.",
        "America/New_York",
        parse=parsing.timezone,
        default="the policy's",
    )
    path = Text("Folder that is watched (type folder).", "inbox")
    pattern = Text("Names of the files that are taken (type folder).", "*.nessus", default="all that can be read")
    url = Text("Address of the scanner.", "https://nessus.example.com:8834", parse=parsing.url, pattern=parsing.URL)
    username = Text("User.", "${GVM_USER}")
    password = Secret(
        "Its password, from the environment.", "${GVM_PASSWORD}", parse=parsing.secret, pattern=parsing.REFERENCE
    )
    access_key = Secret(
        "From the environment.", "${NESSUS_ACCESS_KEY}", parse=parsing.secret, pattern=parsing.REFERENCE
    )
    secret_key = Secret(
        "From the environment.", "${NESSUS_SECRET_KEY}", parse=parsing.secret, pattern=parsing.REFERENCE
    )
    ssh_password = Secret(
        "Password of the user in an address ssh://user@host (type gvm); username and password are those of GVM itself.",
        "${GVM_SSH_PASSWORD}",
        parse=parsing.secret,
        pattern=parsing.REFERENCE,
    )
    token = Secret("From the environment.", "${SCANNER_TOKEN}", parse=parsing.secret, pattern=parsing.REFERENCE)
    scans = ListOf(
        Text("Name of a scan, its id, or folder/name; * stands for anything.", "Weekly *"),
        "The scans (sites, tasks) that are taken.",
        default="all",
    )
    history = Text(
        "Runs that ended longer ago are not taken: hours, days or weeks.",
        "2w",
        parse=parsing.duration,
        pattern=parsing.DURATION,
        default="30d",
    )
    columns = Section(
        ColumnsSchema,
        "How the API names what we need (type withsecure), where it does so otherwise than by default.",
    )
    verify = Flag("Check the certificate of the scanner.", False, default=True)
    ca_file = Text(
        "Certificate authority of the scanner's certificate (of an address ssh://…: the file of known hosts).",
        "/etc/ssl/scanners.pem",
        default="the system's",
    )

    TOGETHER: ClassVar[Shape] = {"allOf": [_keys_of(kind) for kind in TYPES]}

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def options_of_its_type(self, data: Any, original: Any, **_: Any) -> None:
        kind = original.get("type") if isinstance(original, Mapping) else None
        if not isinstance(kind, str) or kind not in TYPES:
            return
        needed, possible = TYPES[kind]
        allowed = (*COMMON, *needed, *possible)
        extra = {
            key: [f"{UNKNOWN} {quoted(key)} for type '{kind}'; allowed: {', '.join(dict.fromkeys(allowed))}"]
            for key in original
            if key in self.fields and key not in allowed
        }
        missing = {
            key: [f"is missing; write for instance: {self.fields[key].metadata['example']}"]
            for key in needed
            if key not in original
        }
        if extra or missing:
            raise ValidationError(extra | missing)


class ScannersFile(Keys):
    """Where scans come from. The file may be missing: scans can be handed in by command and by upload too."""

    scanners = ListOf(Section(ScannerSchema), "The scanners.")
