"""Paint plans: how to repaint a painting by hand, from the palette to the last stroke."""

from painter.plan.paint_plan import Load, PaintPlan, make_plan
from painter.plan.plan_files import write_plan

__all__ = ["Load", "PaintPlan", "make_plan", "write_plan"]
