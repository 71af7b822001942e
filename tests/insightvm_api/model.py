"""The reporting data model of a console in a real PostgreSQL: the tables and columns that Rapid7 documents.

Types are as documented for model 2.3.0. Only what our queries could touch is here; a query that names anything else
fails, as it would on a console.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

TABLES = """
CREATE TABLE dim_scan (scan_id bigint, started timestamp, finished timestamp, status_id char(1), type_id char(1),
    scan_name text);
CREATE TABLE dim_site_scan (site_id integer, scan_id bigint);
CREATE TABLE dim_asset (asset_id bigint, mac_address macaddr, ip_address inet, host_name text,
    operating_system_id integer, host_type_id integer, match_value text, sites text,
    last_assessed_for_vulnerabilities timestamp);
CREATE TABLE dim_asset_scan (scan_id bigint, asset_id bigint, scan_started timestamp, scan_finished timestamp,
    match_value text);
CREATE TABLE dim_asset_unique_id (asset_id bigint, source text, unique_id text);
CREATE TABLE dim_operating_system (operating_system_id integer, description text);
CREATE TABLE dim_service (service_id integer, name text);
CREATE TABLE dim_protocol (protocol_id smallint, name text, description text);
CREATE TABLE dim_vulnerability (vulnerability_id integer, nexpose_id text, title text, description text,
    date_published date, severity_score smallint, severity text, riskscore float8, cvss_score real,
    cvss_v2_score real, cvss_v3_score real, exploits bigint, malware_kits bigint);
CREATE TABLE dim_vulnerability_category (category_id integer, vulnerability_id integer, category_name text);
CREATE TABLE dim_vulnerability_reference (vulnerability_id integer, source text, reference text);
CREATE TABLE dim_vulnerability_exploit (vulnerability_id integer, exploit_id integer, title text, description text,
    skill_level text, source text, source_key text);
CREATE TABLE dim_vulnerability_malware_kit (vulnerability_id integer, malware_kit_id integer, name text,
    popularity text);
CREATE TABLE dim_solution (solution_id integer, nexpose_id text, url text, solution_type text, fix text, summary text);
CREATE TABLE dim_asset_vulnerability_best_solution (asset_id bigint, vulnerability_id integer, solution_id integer);
CREATE TABLE fact_asset_scan (asset_id bigint, scan_id bigint, scan_started timestamp, scan_finished timestamp,
    vulnerabilities bigint, vulnerability_instances bigint, aggregated_credential_status_id integer);
CREATE TABLE fact_asset_scan_service (asset_id bigint, scan_id bigint, date timestamp, service_id integer,
    protocol_id smallint, port integer, credential_status_id smallint);
CREATE TABLE instances (asset_id bigint, scan_id bigint, vulnerability_id integer, date timestamp, status_id char(1),
    proof text, key text, service_id integer, port integer, protocol_id smallint);
CREATE TABLE exceptions (asset_id bigint, vulnerability_id integer);
-- As documented: what an exception covers is missing from the facts of scans, and listed as excluded, currently.
CREATE VIEW fact_asset_scan_vulnerability_instance AS SELECT * FROM instances i WHERE NOT EXISTS (
    SELECT 1 FROM exceptions e WHERE e.asset_id = i.asset_id AND e.vulnerability_id = i.vulnerability_id);
CREATE VIEW fact_asset_scan_vulnerability_finding AS
    SELECT asset_id, scan_id, vulnerability_id, MIN(date) AS date, COUNT(*) AS vulnerability_instances
    FROM fact_asset_scan_vulnerability_instance GROUP BY asset_id, scan_id, vulnerability_id;
CREATE VIEW fact_asset_vulnerability_instance_excluded AS
    SELECT i.* FROM instances i JOIN exceptions e USING (asset_id, vulnerability_id)
    WHERE i.scan_id = (SELECT MAX(scan_id) FROM dim_asset_scan s WHERE s.asset_id = i.asset_id);
CREATE FUNCTION proofAsText(html text) RETURNS text AS $$
DECLARE plain text := regexp_replace(regexp_replace(html, '</(p|li|ul)>', chr(10), 'g'), '<[^>]*>', '', 'g');
BEGIN
    plain := replace(replace(replace(plain, '&lt;', '<'), '&gt;', '>'), '&#39;', chr(39));
    plain := replace(plain, '&quot;', chr(34));
    RETURN replace(plain, '&amp;', '&');
END $$ LANGUAGE plpgsql;
INSERT INTO dim_protocol VALUES (-1, 'N/A', ''), (1, 'ICMP', ''), (6, 'TCP', ''), (17, 'UDP', '');
INSERT INTO dim_service VALUES (-1, 'N/A'), (1, 'SSH'), (2, 'SNMP'), (3, 'CIFS'), (4, 'HTTP');
"""
START, END = "2026-06-05T08:00:00Z", "2026-06-05T10:00:00Z"
NO_CREDENTIALS, FAILED, PARTIAL, SUCCESS, NOT_APPLICABLE = 1, 2, 3, 4, -1
LOGIN_FAILED, LOGIN = 2, 3
SSH, SNMP, CIFS, HTTP = 1, 2, 3, 4


class Model:
    """Fills it, and asks it as a console does."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), autocommit=True)
        self.connection.execute(TABLES)
        self._numbers = iter(range(1000, 10_000_000))

    def close(self) -> None:
        self.connection.close()

    def clear(self) -> None:
        for table in re.findall(r"CREATE TABLE (\w+)", TABLES):
            if table not in {"dim_protocol", "dim_service"}:
                self.connection.execute(f"DELETE FROM {table}")

    def insert(self, table: str, **columns: Any) -> None:
        marks = ", ".join(["%s"] * len(columns))
        self.connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", [*columns.values()])

    def scan(self, id: int = 7, site: int = 1, started: str = START, finished: str = END) -> None:
        self.insert("dim_scan", scan_id=id, started=started, finished=finished, status_id="C")
        self.insert("dim_site_scan", site_id=site, scan_id=id)

    def asset(
        self, id: int, ip: str, *, name: str | None = None, mac: str | None = None, os: str | None = None
    ) -> None:
        number = next(self._numbers)
        if os:
            self.insert("dim_operating_system", operating_system_id=number, description=os)
        self.insert("dim_asset", asset_id=id, ip_address=ip, host_name=name, mac_address=mac,
                    operating_system_id=number if os else None)  # fmt: skip

    def scanned(
        self, asset: int, scan: int = 7, *, started: str = START, finished: str | None = "2026-06-05T09:30:00",
        whole: bool = True, credentials: int = SUCCESS, assessed: bool = True,
    ) -> None:  # fmt: skip
        self.insert("dim_asset_scan", scan_id=scan, asset_id=asset, scan_started=started, scan_finished=finished)
        if whole:
            self.insert("fact_asset_scan", scan_id=scan, asset_id=asset, aggregated_credential_status_id=credentials)
        if assessed:
            change = "UPDATE dim_asset SET last_assessed_for_vulnerabilities = %s WHERE asset_id = %s"
            self.connection.execute(change, [finished, asset])

    def login(self, asset: int, service: int, status: int, scan: int = 7) -> None:
        self.insert("fact_asset_scan_service", asset_id=asset, scan_id=scan, service_id=service, protocol_id=6,
                    credential_status_id=status)  # fmt: skip

    def vulnerability(self, key: str, score: int, **columns: Any) -> int:
        id = next(self._numbers)
        self.insert("dim_vulnerability", vulnerability_id=id, nexpose_id=key, severity_score=score,
                    **{"title": f"About {key}", "exploits": 0, "malware_kits": 0} | columns)  # fmt: skip
        return id

    def found(
        self, asset: int, vulnerability: int, *, scan: int = 7, port: int | None = None, protocol: int = -1,
        proof: str | None = None, key: str | None = None,
    ) -> None:  # fmt: skip
        self.insert("instances", asset_id=asset, scan_id=scan, vulnerability_id=vulnerability, port=port,
                    protocol_id=protocol, proof=proof, key=key, status_id="2")  # fmt: skip

    def answer(self, query: str, zone: str) -> bytes:
        """The CSV of a query, in one transaction, as reports in that time zone are. psycopg.Error if it is wrong."""
        with self._transaction() as cursor:
            cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])
            with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)".encode()) as rows:
                return b"".join(map(bytes, rows))

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            yield cursor
