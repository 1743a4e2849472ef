"""A normal photo and an anomaly photo side by side, cut to the window in which something changed.

Everything that the features need is computed here once, most of it only inside the window. Lengths are pixels,
lightness and colour differences CIELAB units, visibility is colour difference divided by the local just-noticeable one.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.change import mask_of_visibility, visible_change
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.measures import solidity
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import Scene, scene_of

__all__ = ["CROSS", "Component", "Pair", "coarse_grain", "dilate", "erode", "fine_grain"]

CROSS = np.ones((3, 3), np.uint8)
MARGIN_PX = 16


def dilate(mask: Mask, radius: int) -> Mask:
    """`mask` grown by `radius` pixels (square neighbourhood)."""
    return cv2.dilate(mask.view(np.uint8), CROSS, iterations=radius).view(bool) if radius > 0 else mask


def erode(mask: Mask, radius: int) -> Mask:
    """`mask` shrunk by `radius` pixels; the frame does not count as outside."""
    return cv2.erode(mask.view(np.uint8), CROSS, iterations=radius).view(bool) if radius > 0 else mask


def fine_grain(lightness: Field) -> Field:
    """Diagonal 2 x 2 differences, (H, W): white noise of standard deviation s gives s, anything the lens blurred gives little.

    Source: J. Immerkaer, "Fast noise variance estimation", 1996, with the smallest kernel.
    """
    kernel = np.array([[0.5, -0.5], [-0.5, 0.5]], np.float32)
    return np.asarray(cv2.filter2D(lightness, -1, kernel, borderType=cv2.BORDER_REFLECT), np.float32)


def coarse_grain(lightness: Field) -> Field:
    """The same differences of 2 x 2 means, two pixels apart: half as large for white noise, larger for texture and edges."""
    kernel = np.array([[0.5, 0.0, -0.5], [0.0, 0.0, 0.0], [-0.5, 0.0, 0.5]], np.float32)
    means = cv2.blur(lightness, (2, 2), borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.filter2D(means, -1, kernel, borderType=cv2.BORDER_REFLECT), np.float32)


@dataclass(frozen=True)
class Component:
    """One connected part of the visible change.

    Attributes:
        area: pixels.
        elongation: length / width; curved strokes count along their course.
        extent: length / width of the region that it lies in, whatever course its strokes take there.
        solidity: area / area of the convex hull, 1 = no branches or bays.
        width: mean width in pixels.
        axis_rad: direction of the long axis, image coordinates.
    """

    area: float
    elongation: float
    extent: float
    solidity: float
    width: float
    axis_rad: float


@dataclass(frozen=True, eq=False)
class Pair:
    """Normal and anomaly photo with the mask of what visibly changed.

    Attributes:
        scene: the analysed normal photo.
        rgb: the anomaly photo, shown with the scale of the normal one.
        change: (H, W) just-noticeable differences, 0 where the pixels are identical.
        visible: (H, W) bool, what a person sees changed; at least one pixel is true.
    """

    scene: Scene
    rgb: RGB
    change: Field
    visible: Mask

    @classmethod
    def compare(cls, normal: Photo, anomaly: Photo) -> "Pair | None":
        """The pair, or None when no change can be seen.

        Raises:
            ToolInputError: the sizes differ.
        """
        change = visible_change(normal, anomaly)
        visible = mask_of_visibility(change)
        return cls(scene_of(normal), anomaly.shown_with(normal.scale), change, visible) if visible.any() else None

    @cached_property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns around the visible change."""
        height, width = self.visible.shape
        x, y, w, h = cv2.boundingRect(self.visible.view(np.uint8))
        margin = max(MARGIN_PX, max(w, h) // 6)
        return slice(max(0, y - margin), min(height, y + h + margin)), slice(max(0, x - margin), min(width, x + w + margin))

    @cached_property
    def mask(self) -> Mask:
        """`visible` inside the window."""
        return np.ascontiguousarray(self.visible[self.window])

    @cached_property
    def before(self) -> Lab:
        """CIELAB of the normal photo inside the window."""
        return self.scene.lab[self.window]

    @cached_property
    def after(self) -> Lab:
        """CIELAB of the anomaly photo inside the window."""
        return lab_from_rgb(self.rgb[self.window])

    @cached_property
    def shift(self) -> Lab:
        """`after` - `before`."""
        return self.after - self.before

    @cached_property
    def visibility(self) -> Field:
        """`change` inside the window."""
        return self.change[self.window]

    @cached_property
    def difference(self) -> Field:
        """CIEDE2000 between both photos inside the window."""
        return self.visibility * self.scene.jnd[self.window]

    @cached_property
    def outside_difference(self) -> NDArray[np.float32]:
        """CIEDE2000 of at most 4096 pixels, evenly spread, that lie away from the visible change; may be empty."""
        places = np.flatnonzero(~dilate(self.visible, 6))
        places = places[:: max(1, places.size // 4096)]
        return self.change.ravel()[places] * self.scene.jnd.ravel()[places]

    @cached_property
    def floor(self) -> float:
        """Difference below which a change counts as drift of the whole frame, CIEDE2000."""
        drift = self.outside_difference
        return max(1e-3, float(np.quantile(drift, 0.95))) if drift.size else 1e-3

    @cached_property
    def support(self) -> Mask:
        """Pixels of the window that belong to the edit: changed by more than the drift of the frame."""
        return self.difference > self.floor

    @cached_property
    def foreground(self) -> Mask:
        """The object inside the window."""
        return self.scene.foreground[self.window]

    @cached_property
    def components(self) -> list[Component]:
        """Parts of the visible change after closing gaps of 2 px, largest first; specks below 2 % of the whole are left out."""
        closed = cv2.morphologyEx(self.mask.view(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        count, raw_labels, raw_stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
        labels, stats = np.asarray(raw_labels, np.int32), np.asarray(raw_stats, np.int32)
        least = max(4.0, 0.02 * float(stats[1:, cv2.CC_STAT_AREA].sum())) if count > 1 else 0.0
        order = sorted(range(1, count), key=lambda i: -int(stats[i, cv2.CC_STAT_AREA]))[:32]
        kept = [i for i in order if stats[i, cv2.CC_STAT_AREA] >= least] or order[:1]
        return [_describe(labels, i, stats[i]) for i in kept]


def _describe(labels: NDArray[np.int32], index: int, stats: NDArray[np.int32]) -> Component:
    x, y, w, h = (int(stats[i]) for i in (cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT))
    part = cv2.copyMakeBorder((labels[y : y + h, x : x + w] == index).view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    area = float(stats[cv2.CC_STAT_AREA])
    depth = cv2.distanceTransform(part, cv2.DIST_L2, 3)
    # The mean distance to the outline is a quarter of the width of a long strip and a third of the radius of a disc.
    width = max(1.0, 4.0 * float(depth.sum()) / area - 1.0)
    moments = cv2.moments(part, binaryImage=True)
    xx, yy, xy = moments["mu20"] / area + 1 / 12, moments["mu02"] / area + 1 / 12, moments["mu11"] / area
    spread = float(np.hypot(xx - yy, 2 * xy))
    straight = float(np.sqrt((xx + yy + spread) / max(1e-6, xx + yy - spread)))
    # area / width^2 is 1.77 for a disc, and follows a stroke around its bends.
    curved = area / width**2 / 1.77
    return Component(
        area=area,
        elongation=max(1.0, straight, curved),
        extent=max(1.0, straight),
        solidity=solidity(part),
        width=width,
        axis_rad=0.5 * float(np.arctan2(2 * xy, xx - yy)),
    )
