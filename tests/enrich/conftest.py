from tests.flows.conftest import anywhere, jira, world
