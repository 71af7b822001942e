"""What is asked of the reporting data model of InsightVM and Nexpose (version 2.3.0): three queries about one scan.

They only read. Tables, columns and meanings are those of docs.rapid7.com, "Understanding the reporting data model:
dimensions" and "… facts"; the dialect is kept to that of PostgreSQL 9.0, which these pages name. The names of the
columns are those of `scanners.insightvm.TABLES`. Each answer ends with a row of kind `end`: without it, it was cut off.

- A scan of an asset that was not completed has no row in fact_asset_scan, an address that did not answer has none at
  all, and a discovery scan leaves `last_assessed_for_vulnerabilities` as it was.
- fact_asset_scan_vulnerability_instance lacks what an exception hides. That is read from the same snapshot, in the same
  statement, with every asset that is still there, so that nothing can change in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

MODEL = "2.3.0"
_TIME = "'YYYY-MM-DD\"T\"HH24:MI:SS'"

_HOSTS = """
WITH
agents AS (
    SELECT asset_id, MIN(unique_id) AS agent
    FROM dim_asset_unique_id
    WHERE source = 'R7 Agent'
    GROUP BY asset_id
),
logins AS (
    SELECT fass.asset_id, COUNT(*) AS logins
    FROM fact_asset_scan_service fass
    JOIN dim_service dsv ON dsv.service_id = fass.service_id
    WHERE fass.scan_id = {scan} AND fass.credential_status_id > 2 AND UPPER(dsv.name) NOT LIKE '%SNMP%'
    GROUP BY fass.asset_id
)
SELECT das.asset_id, da.ip_address, da.mac_address, da.host_name, dos.description AS os, agents.agent,
    to_char(das.scan_finished, {time}) AS finished,
    to_char(da.last_assessed_for_vulnerabilities, {time}) AS assessed,
    CASE WHEN fas.asset_id IS NULL THEN 'no' ELSE 'yes' END AS whole,
    fas.aggregated_credential_status_id AS credentials, logins.logins, 'host' AS kind
FROM dim_asset_scan das
JOIN dim_asset da ON da.asset_id = das.asset_id
LEFT JOIN dim_operating_system dos ON dos.operating_system_id = da.operating_system_id
LEFT JOIN fact_asset_scan fas ON fas.asset_id = das.asset_id AND fas.scan_id = das.scan_id
LEFT JOIN agents ON agents.asset_id = das.asset_id
LEFT JOIN logins ON logins.asset_id = das.asset_id
WHERE das.scan_id = {scan}
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'end'
ORDER BY 1
"""

_VULNERABILITIES = """
WITH
found AS (
    SELECT DISTINCT vulnerability_id
    FROM fact_asset_scan_vulnerability_finding
    WHERE scan_id = {scan}
),
exploits AS (
    SELECT vulnerability_id, array_to_string(array_agg(source || ': ' || title), chr(10)) AS names
    FROM dim_vulnerability_exploit JOIN found USING (vulnerability_id)
    GROUP BY vulnerability_id
),
malware AS (
    SELECT vulnerability_id, array_to_string(array_agg(name), chr(10)) AS names
    FROM dim_vulnerability_malware_kit JOIN found USING (vulnerability_id)
    GROUP BY vulnerability_id
),
categories AS (
    SELECT vulnerability_id, array_to_string(array_agg(category_name), chr(10)) AS names
    FROM (
        SELECT vulnerability_id, category_name
        FROM dim_vulnerability_category JOIN found USING (vulnerability_id)
        ORDER BY vulnerability_id, category_name
    ) AS sorted
    GROUP BY vulnerability_id
),
refs AS (
    SELECT vulnerability_id, array_to_string(array_agg(source || ':' || reference), chr(10)) AS names
    FROM (
        SELECT vulnerability_id, source, reference
        FROM dim_vulnerability_reference JOIN found USING (vulnerability_id)
        ORDER BY vulnerability_id, source, reference
    ) AS sorted
    GROUP BY vulnerability_id
),
solutions AS (
    SELECT vulnerability_id, array_to_string(array_agg(words), chr(10)) AS words
    FROM (
        SELECT DISTINCT davbs.vulnerability_id,
            COALESCE(proofAsText(ds.summary), '') || chr(10) || COALESCE(proofAsText(ds.fix), '') AS words
        FROM dim_asset_vulnerability_best_solution davbs
        JOIN dim_asset_scan das ON das.asset_id = davbs.asset_id AND das.scan_id = {scan}
        JOIN found ON found.vulnerability_id = davbs.vulnerability_id
        JOIN dim_solution ds ON ds.solution_id = davbs.solution_id
        ORDER BY 1, 2
    ) AS sorted
    GROUP BY vulnerability_id
)
SELECT dv.nexpose_id AS id, dv.title, dv.severity_score AS score,
    dv.cvss_v2_score AS cvss2, dv.cvss_v3_score AS cvss3, dv.exploits, dv.malware_kits,
    exploits.names AS exploit_names, malware.names AS malware_names, categories.names AS categories,
    refs.names AS refs, solutions.words AS solution, proofAsText(dv.description) AS description,
    to_char(dv.date_published, 'YYYY-MM-DD') AS published, 'vulnerability' AS kind
FROM dim_vulnerability dv
JOIN found ON found.vulnerability_id = dv.vulnerability_id
LEFT JOIN exploits ON exploits.vulnerability_id = dv.vulnerability_id
LEFT JOIN malware ON malware.vulnerability_id = dv.vulnerability_id
LEFT JOIN categories ON categories.vulnerability_id = dv.vulnerability_id
LEFT JOIN refs ON refs.vulnerability_id = dv.vulnerability_id
LEFT JOIN solutions ON solutions.vulnerability_id = dv.vulnerability_id
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'end'
ORDER BY 1
"""

_RESULTS = """
SELECT das.asset_id, NULL AS vulnerability, NULL AS score, NULL AS port, NULL AS protocol, NULL AS at, NULL AS proof,
    'seen' AS kind
FROM dim_asset_scan das
JOIN dim_asset da ON da.asset_id = das.asset_id
WHERE das.scan_id = {scan}
UNION ALL
SELECT fasvi.asset_id, dv.nexpose_id, dv.severity_score, CASE WHEN fasvi.port > 0 THEN fasvi.port END, dp.name,
    fasvi.key, proofAsText(fasvi.proof), 'found'
FROM fact_asset_scan_vulnerability_instance fasvi
JOIN dim_vulnerability dv ON dv.vulnerability_id = fasvi.vulnerability_id
LEFT JOIN dim_protocol dp ON dp.protocol_id = fasvi.protocol_id
WHERE fasvi.scan_id = {scan}
UNION ALL
SELECT favie.asset_id, dv.nexpose_id, NULL, NULL, NULL, NULL, NULL, 'excepted'
FROM fact_asset_vulnerability_instance_excluded favie
JOIN dim_asset_scan das ON das.asset_id = favie.asset_id AND das.scan_id = {scan}
JOIN dim_vulnerability dv ON dv.vulnerability_id = favie.vulnerability_id
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'end'
ORDER BY 1, 2, 4, 5, 6
"""

_PLACES = """
SELECT dss.site_id, da.ip_address, to_char(MAX(das.scan_finished), {time}) AS finished, 'place' AS kind
FROM dim_asset_scan das
JOIN dim_asset da ON da.asset_id = das.asset_id
JOIN dim_site_scan dss ON dss.scan_id = das.scan_id
WHERE da.ip_address IN ({addresses})
GROUP BY dss.site_id, da.ip_address
UNION ALL
SELECT NULL, NULL, NULL, 'end'
ORDER BY 1
"""


def queries(scan: int) -> dict[str, str]:
    """Table of the file → query, in the order of the file. No scan has the number 0."""
    texts = {"hosts": _HOSTS, "vulnerabilities": _VULNERABILITIES, "results": _RESULTS}
    return {table: text.format(scan=int(scan), time=_TIME).strip() for table, text in texts.items()}


def places(addresses: Sequence[IPv4Address | IPv6Address]) -> str:
    """In which sites the addresses were scanned, and when last: site_id, ip_address, finished."""
    return _PLACES.format(addresses=", ".join(f"'{address}'" for address in addresses), time=_TIME).strip()
