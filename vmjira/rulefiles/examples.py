"""The words and the YAML of docs/rules.md that no schema holds; a test loads every example."""

from __future__ import annotations

INTRODUCTION = """
# Rule files

Five YAML files in the folder `rules/` say what becomes a ticket, whose it is, and how it is handled. This page is
written from the program itself (`python -m vmjira.rulefiles > docs/rules.md`).

- `vmjira rules check` names every problem of all files at once: `file:line:column: what; what is allowed; what to do`.
- `vmjira rules schema` prints a JSON Schema, with which an editor completes and checks while you type: see
  [editors, pre-commit and CI](editors-and-ci.md).
- `vmjira plan` shows what edited rules would create, move, update and close, before anything is sent.
- The files are loaded as a whole or not at all: with a problem in one of them, the last good rules stay in force.

Durations are a number and `h`, `d` or `w`: `12h`, `14d`, `2w`. Ids are 1 to 40 of `a-z`, `0-9` and `-`; they become
part of labels (`vm.<category>.<range>.<iteration>`) and of file names, so never change one while it has tickets.
YAML aliases are allowed, tags (`!…`) are not; a file may have 1 MB. Text that starts with `*`, `{`, `[`, `%`, `@` or
a backtick needs quotes, and so does text that holds `: `; or write it below `>-`, as in the example.
"""

EXAMPLES = {
    "categories.yaml": """
# rules/categories.yaml
categories:
  - id: ms-exploitable
    title: Windows security bulletins with exploitable high/critical vulnerabilities
    where: >-
      family = 'Windows : Microsoft Bulletins' AND severity >= 'high' AND exploit_available
    priority: Highest
    due: 14d
  - id: web-servers
    title: Web servers
    where: family IN ('Web Servers', 'CGI abuses') AND severity >= 'medium'
  - id: other-high
    title: Other high and critical vulnerabilities
    where: severity >= 'high'
""",
    "ranges.yaml": """
# rules/ranges.yaml
ranges:
  - id: boston
    title: Boston Office
    networks: [10.1.0.0/16, 10.2.0.0-10.2.3.255, 'fd00:1::/48']
    iteration: week
    ticket: {project: VMBOS, assignee: boston-admins, components: [Patching]}
  - id: berlin
    title: Berlin Office
    networks: [10.49.0.0/16]
    identity: [agent_uuid, hostname, ip]
    ticket: {project: VMBER}
""",
    "policy.yaml": """
# rules/policy.yaml
timezone: America/New_York
title: '{category.title} – {range.title} – Scan {iteration.number}'
top_hosts: 10
ticket:
  project: VM
  issue_type: Task
  labels: [patching]
  fields: {environment: '{{ range.title }}'}
  transitions: {close: Done, reopen: To Do}
  transition_fields: {resolution: {name: Done}}
on_close: verify
auto_close: false
reopen_limit: 3
escalation: {priority: Highest, label: escalated, watcher: security-lead}
accept: {resolutions: ["Won't Fix", Risk Accepted], for: 180d}
forget_after: 90d
limits: {create: 100, close: 500, move: 500}
adoption: {mode: cap, cap: 3}
breaker: 0.2
calls_per_second: 8
schedule: {reconcile: '*/15 * * * *', doctor: 0 5 * * mon-fri, enrich: never}
reminders: {before: 3d, after: 1d}
retention: {versions: 200}
""",
    "acceptances.yaml": """
# rules/acceptances.yaml
acceptances:
  - vulnerability: CVE-2021-44228
    range: boston
    reason: Isolated laboratory, replaced in May
    approver: jane.doe
    until: 2027-05-31
""",
    "scanners.yaml": """
# rules/scanners.yaml
scanners:
  - {id: inbox, type: folder, path: inbox, fetch: '* * * * *'}
  - id: nessus-hq
    type: nessus
    url: https://nessus.example.com:8834
    access_key: ${NESSUS_ACCESS_KEY}
    secret_key: ${NESSUS_SECRET_KEY}
    scans: ['Weekly *']
    fetch: '*/30 * * * *'
""",
}

ALIASES = """
To rename an `id`, list the old one under `aliases`: findings and tickets continue under the new id, with new labels and
file names and the same keys in the tracker. Without an alias the change is held, because all findings would move to new
tickets. Leave the alias in the file. Also change the old id where acceptances.yaml names it.
"""
NOTES = {
    "categories.yaml": (ALIASES,),
    "ranges.yaml": (
        ALIASES,
        """
The same network twice is a mistake; networks inside other networks are not: the smallest wins. A range's `ticket` is
laid over the policy's: single values and lists replace, while `fields`, `transitions` and `transition_fields` are
merged key by key.
""",
    ),
    "acceptances.yaml": (
        """
At least one of `category`, `range`, `host`, `network`, `vulnerability` must be given. A day that has passed is no
mistake: the acceptance has ended, and its findings open again when they are seen.
""",
    ),
}

CONDITIONS = """
### Conditions

`where` is an SQL expression that is true or false for one finding; a value that the scanner does not give is NULL, and
a condition that comes out as NULL does not hold. Text stands in single quotes. Severities have an order:
`severity >= 'high'`.

- operators: `AND`, `OR`, `NOT`, `=`, `<>`, `<`, `<=`, `>`, `>=`, `IN (…)`, `BETWEEN … AND …`, `IS NULL`, `LIKE` and
  `ILIKE` (`%` stands for anything), `~` and `~*` (regular expression; `~*`: large and small letters alike), `||`,
  `CASE WHEN`; at most {operators} of them
- functions: {functions}
- lists: `array_contains(cves, 'CVE-2021-44228')`, `'22/tcp' = ANY(ports)`,
  `array_to_string(exploits, ',') ILIKE '%core%'`
- dates: `published < date '2026-01-31'`; today's date is not available, because findings would wander between tickets

Queries, aggregates and comments are refused, and so is `output`: it differs from host to host and from scan to scan.
A category after one that takes everything, or with the same condition as an earlier one, is a mistake.
"""
