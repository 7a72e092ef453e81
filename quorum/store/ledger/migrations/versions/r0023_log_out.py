"""The ID token of a session, by which it is ended at the identity provider, too."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("sessions", sa.Column("id_token", sa.Text()))


def downgrade() -> None:
    """Undo."""
    op.drop_column("sessions", "id_token")
