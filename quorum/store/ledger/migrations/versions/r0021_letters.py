"""Letters of legal notices as they were told, and the language of who sent a notice."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; letters of before are made from today's words until somebody is told the next."""
    op.add_column("notices", sa.Column("language", sa.String(length=35)))
    op.add_column("notice_events", sa.Column("letters", sa.Text()))


def downgrade() -> None:
    """Undo."""
    op.drop_column("notice_events", "letters")
    op.drop_column("notices", "language")
