import json
from pathlib import Path

from quorum.aggregator.policy.text import policy_schema

PUBLISHED = Path(__file__).parents[3] / "docs" / "schemas" / "policy.schema.json"


def test_the_published_schema_is_current():
    """Mend it with: quorum policy schema > docs/schemas/policy.schema.json."""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == policy_schema()
