"""How a changed surface looks in the photo: relief, reflectance, roughness, paint and shadow under the photo's own light.

An `Edit` changes a surface; `Surface.draw` turns the change into pixels:

    opened        the pattern of the surface gives way to the tone of its surroundings, continued smoothly
    relief        n = (-dh/dx, -dh/dy, 1) / |.|;  diffuse = (ambient + (1 - ambient) max(n.l, 0) / l_z), relative to flat
    highlight     Blinn-Phong lobe k_s ((n.h)^p - h_z^p), k_s from the photo's own highlights, in their colour (`dielectric.py`)
    occlusion     points below the mean of their neighbourhood see less of the sky
    reflectance   exp(log_reflectance) in linear light (Beer-Lambert, multiplicative)
    mirrored      light of the lamp, added
    roughness     takes light out of highlights, adds fine grain; negative: evens the grain out
    paint         replaces the material by `opacity`
    shadow        takes light away
    dark field    a black surface scatters where it is changed (see `dark_field.py`)

What is drawn is then blurred by the photo's point spread, and grain that the paint covered is put back.
Source: Lambert 1760; J. Blinn, "Models of light reflection for computer synthesized pictures", 1977.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.inpainting import continue_smoothly
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise
from anomalyagent.mcp_tools.procedural.light.dark_field import is_dark_field, scattered
from anomalyagent.mcp_tools.procedural.light.dielectric import whiteness_of_lights

__all__ = ["Surface", "linear_from_srgb", "srgb_from_linear"]

_AMBIENT = 0.35
_GLOSS_POWER = 22.0
_MAX_RATIO = 5.0
_SHINING = 0.5  # share of a dye's colour that may come from brightening a channel, the rest is light taken from the others
_MOST_LOST = 0.75  # of the logarithm of its colour, that a surface can lose
_VEIL = 0.07  # share of the light around that lens and dust scatter even into a black gap
_ACCOMPANYING = 2.0  # relief and roughness that go with a change of colour are not exaggerated beyond this gain
_STEEPEST = 0.9  # slopes saturate here: what is steeper shades itself
_NOISIEST = 0.02  # sRGB 0..1: no sensor is worse; what a photo shows beyond that is fine texture
_STANDS_OUT = 12.0  # CIELAB units, at least, by which print differs from what it lies on
_PATTERNED = (8.0, 16.0)  # a and b of CIELAB, median distance from their mean: from where to where a surface has a pattern,
_RIM = 0.06  # which is looked for so near to an opening, of the window
_DRAWN_SIGMA_PX = 0.4  # blur that anti-aliased drawing already has


def linear_from_srgb(rgb: RGB) -> RGB:
    """sRGB 0..1 -> linear light 0..1 (IEC 61966-2-1), any shape, float32."""
    curved = ((np.maximum(rgb, 0.0) + 0.055) / 1.055) ** 2.4
    return np.where(rgb <= 0.04045, rgb / 12.92, curved).astype(np.float32, copy=False)


def srgb_from_linear(linear: RGB) -> RGB:
    """Linear light -> sRGB, clipped to 0..1, any shape, float32."""
    clipped = np.clip(linear, 0.0, 1.0)
    curved = 1.055 * np.power(clipped, 1.0 / 2.4) - 0.055
    return np.where(clipped <= 0.0031308, clipped * 12.92, curved).astype(np.float32, copy=False)


@dataclass(frozen=True, eq=False)
class Surface:
    """One window of a photo, ready to be changed.

    Attributes:
        scene: the analysed photo.
        window: the part of it that may change.
        rgb: (h, w, 3) its current pixels (earlier instances already drawn).
        seed: of the grain.
    """

    scene: Scene
    window: Window
    rgb: RGB
    seed: int

    @cached_property
    def linear(self) -> RGB:
        """(h, w, 3) linear light."""
        return linear_from_srgb(self.rgb)

    @cached_property
    def around(self) -> RGB:
        """(h, w, 3) linear light without its fine texture."""
        size = max(5, int(6 * self.scene.blur_sigma_px) | 1)
        return cv2.blur(self.linear, (size, size), borderType=cv2.BORDER_REFLECT).astype(np.float32, copy=False)

    @cached_property
    def gloss(self) -> float:
        """Strength of highlights, 0.03 (matt) .. 0.6 (polished), from how far the brightest light exceeds the median."""
        x0, y0, x1, y1 = self.scene.box_xyxy
        step = max(1, int(np.sqrt((x1 - x0) * (y1 - y0)) / 96))
        lightness = self.scene.lab[y0:y1:step, x0:x1:step, 0]
        values = lightness[self.scene.foreground[y0:y1:step, x0:x1:step]]
        if values.size < 16:
            return 0.1
        median, bright = np.percentile(values, [50, 99.7])
        excess = ((bright + 16) / 116) ** 3 - ((median + 16) / 116) ** 3
        return float(np.clip(0.05 + 0.8 * excess, 0.03, 0.6))

    @cached_property
    def grain(self) -> Field:
        """(h, w) noise of unit variance at the scale of the photo's finest texture."""
        rng = np.random.default_rng([self.seed, 11])
        return fractal_noise(self.window.shape, max(2.0, 2.2 * self.scene.blur_sigma_px), rng, octaves=2, gain=0.8)

    @cached_property
    def noise(self) -> RGB:
        """(h, w, 3) sensor noise like the photo's, sRGB units; equal channels in a grey photo."""
        rng = np.random.default_rng([self.seed, 12])
        channels = 1 if self.scene.photo.is_grey else 3
        noise = rng.standard_normal((*self.window.shape, channels), np.float32)
        if channels == 3:  # raw conversion and chroma subsampling leave mostly common noise
            noise = 0.8 * noise.mean(2, keepdims=True) * np.float32(np.sqrt(3)) + 0.6 * cv2.blur(noise, (3, 3)) * 1.5
        noise = cv2.GaussianBlur(noise, (0, 0), 0.5).reshape(*self.window.shape, -1)
        return noise * np.float32(min(self.scene.noise_sigma, _NOISIEST) / max(float(noise.std()), 1e-6))

    @cached_property
    def lens_px(self) -> float:
        """Point spread that drawing still lacks, pixels; 0 where it can be left out."""
        sigma = float(np.sqrt(max(self.scene.blur_sigma_px**2 - _DRAWN_SIGMA_PX**2, 0.0)))
        return sigma if sigma > 0.25 else 0.0

    @cached_property
    def soft(self) -> RGB:
        """(h, w, 3) sRGB blurred by `lens_px`."""
        return self._blurred(self.rgb)

    def _blurred(self, values: RGB) -> RGB:
        size = 2 * int(np.ceil(3 * self.lens_px)) + 1
        return np.asarray(cv2.GaussianBlur(values, (size, size), self.lens_px, borderType=cv2.BORDER_REFLECT), np.float32)

    def draw(self, edit: Edit, gain: float) -> RGB:
        """(h, w, 3) sRGB: the window with the edit applied `gain` times as strongly as given.

        `edit.window` must equal this window. Pixels outside `edit.support`, widened by the point spread, do not change.
        """
        light, around = self._below(edit)
        fade = edit.support.astype(np.float32)[..., None]
        alone = edit.log_reflectance is None and edit.paint is None
        if edit.height is not None:
            ratio, highlight = self._relight(edit.height * np.float32(gain if alone else min(gain, _ACCOMPANYING)))
            light = light * ratio[..., None] + highlight
        if edit.log_reflectance is not None:
            change = edit.log_reflectance * np.float32(gain)
            if edit.absorbs:
                change = change - np.float32(max(gain - _SHINING, 0.0)) * _colour_gained(edit.log_reflectance)
            if edit.most_light is not None:
                most = np.float32(edit.most_light)
                change = np.minimum(change, most * np.tanh(np.maximum(change, 0.0) / most))
            if edit.fades:
                change = _up_to_grey(change, around)
            change = np.clip(change, -6.0, 3.0)
            veil = np.minimum(light, _VEIL * around)
            light = veil + (light - veil) * np.exp(change)
        if edit.mirrored is not None:
            light = light + (edit.mirrored * np.float32(gain))[..., None] * self._lamp(around)
        if edit.roughness is not None:
            light = self._roughen(light, np.clip(edit.roughness * np.float32(min(gain, _ACCOMPANYING)), -1.0, 1.5))
        cover = np.zeros((*self.window.shape, 1), np.float32)
        if edit.paint is not None and edit.opacity is not None:
            laid = np.clip(edit.opacity, 0.0, 1.0)
            # stronger: as if painted again, which keeps soft borders soft
            laid = (laid * np.float32(gain) if gain <= 1.0 else 1.0 - (1.0 - laid) ** np.float32(gain))[..., None]
            light = light + laid * (linear_from_srgb(edit.paint) - light)
            cover = laid
        if not edit.photographed and is_dark_field(self.scene):
            light = light + (1.0 - cover) * scattered(edit, self.around, self.grain, gain)
        if edit.shadow is not None:
            light = light * (1.0 - np.clip(edit.shadow * np.float32(gain), 0.0, 0.97))[..., None].astype(np.float32)
        # A pixel on the border of the support gets the full change: softness there comes from the mechanism and the lens.
        change = (srgb_from_linear(light) - self.rgb) * fade
        if edit.photographed:
            return np.clip(self.rgb + change, 0.0, 1.0).astype(np.float32, copy=False)
        gone = cover if edit.opened is None else np.maximum(cover, edit.opened[..., None])
        drawn = self.rgb + self._through_lens(change, gone * fade)
        if edit.opened is not None:  # grain went with the surface; little light leaves little of it
            left = np.clip(light.mean(2) / np.maximum(self.around.mean(2), 1e-3), 0.0, 1.0)
            cover = np.maximum(cover, (edit.opened * left)[..., None])
        if cover.any():  # the grain of the photo is covered or gone
            drawn = drawn + self.noise * np.sqrt(cover * fade)
        return np.clip(drawn, 0.0, 1.0).astype(np.float32, copy=False)

    def _through_lens(self, change: RGB, gone: RGB) -> RGB:
        """The change blurred by the photo's point spread; the fine texture of the photo, which is sharp as it is, goes with it.

        Args:
            gone: (h, w, 1) 0..1, share of the surface that is covered or gone, so that nothing of its texture shows.
        """
        if not self.lens_px:
            return change
        moved = self._blurred(change)
        before = self.soft.mean(axis=2, keepdims=True)
        brighter = (before + moved.mean(axis=2, keepdims=True)) / np.maximum(before, 0.02)
        kept = np.clip(brighter, 0.0, 2.0) * (1.0 - self._blurred(gone).reshape(gone.shape))
        lost = np.where(moved.any(axis=2, keepdims=True), kept - 1.0, 0.0).astype(np.float32)
        return np.asarray(moved + (self.rgb - self.soft) * lost, np.float32)

    def _below(self, edit: Edit) -> tuple[RGB, RGB]:
        """(h, w, 3) linear light where `edit` has opened the window, before anything else is changed; and without texture."""
        if edit.opened is None:
            return self.linear, self.around
        source, lost = self.around, np.float32(self.pattern_lost(edit.opened))
        if lost > 0.0:
            source = source + lost * (source[self._rim_of(edit.opened)].mean(axis=0) - source)
        even = continue_smoothly(np.asarray(source, np.float32), self._plain(edit.opened <= 0.0))
        gone = np.clip(edit.opened, 0.0, 1.0)[..., None].astype(np.float32)
        light, around = (np.asarray(one + gone * (even - one), np.float32) for one in (self.linear, self.around))
        return light, around

    def pattern_lost(self, opened: Field) -> float:
        """0..1: how much of the rim of what is `opened` is a pattern in colours, which the floor of a hole has not."""
        colors = self.around[self._rim_of(opened)]
        if not len(colors):
            return 0.0
        lab = lab_from_rgb(srgb_from_linear(np.concatenate([colors, colors.mean(axis=0)[None]])[None]))[0]
        spread = float(np.median(np.linalg.norm(lab[:-1, 1:] - lab[-1, 1:], axis=1)))
        return float(np.clip((spread - _PATTERNED[0]) / (_PATTERNED[1] - _PATTERNED[0]), 0.0, 1.0))

    def _rim_of(self, opened: Field) -> Mask:
        """(h, w) bool: what lies around an opening, without what stands out there."""
        wide = 2 * round(_RIM * max(self.window.shape)) + 5
        near = cv2.dilate((opened > 0.0).astype(np.uint8), np.ones((wide, wide), np.uint8)) > 0
        return self._plain(opened <= 0.0) & near

    def _plain(self, known: Mask) -> Mask:
        """`known`, (h, w) bool, without what stands out there (print, what lies behind): it has no part in what lies below."""
        own = known & self.scene.foreground[self.window.slices]
        known = own if own.any() else known
        if not known.any():
            return known
        lab = self.scene.lab[self.window.slices]
        away = np.linalg.norm(lab - np.median(lab[known], axis=0), axis=2)
        stands_out = known & (away > max(_STANDS_OUT, 3.0 * float(np.median(away[known]))))
        size = max(3, int(6 * self.scene.blur_sigma_px) | 1)
        plain = known & (cv2.dilate(stands_out.astype(np.uint8), np.ones((size, size), np.uint8)) == 0)
        return plain if np.count_nonzero(plain) > 0.3 * np.count_nonzero(known) else known

    def _relight(self, height: Field) -> tuple[Field, RGB]:
        azimuth, elevation = self.scene.light
        elevation = min(elevation, np.deg2rad(58.0))  # light straight from above would leave relief unseen
        to_light = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
        slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
        slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
        steep = 1.0 / np.sqrt(1.0 + (slope_x**2 + slope_y**2) / _STEEPEST**2)
        slope_x, slope_y = slope_x * steep, slope_y * steep
        norm = 1.0 / np.sqrt(1.0 + slope_x**2 + slope_y**2)
        facing = np.maximum(to_light[2] - slope_x * to_light[0] - slope_y * to_light[1], 0.0) * norm / to_light[2]
        ratio = np.minimum(_AMBIENT + (1.0 - _AMBIENT) * facing, _MAX_RATIO)
        half = to_light + np.array([0.0, 0.0, 1.0])
        half /= np.linalg.norm(half)
        mirrored = np.maximum(half[2] - slope_x * half[0] - slope_y * half[1], 0.0) * norm
        lobe = mirrored**_GLOSS_POWER - half[2] ** _GLOSS_POWER
        # occlusion: how far a point lies below its neighbourhood, in units of the neighbourhood's width
        sunk = cv2.blur(height, (7, 7), borderType=cv2.BORDER_REPLICATE) - height
        ratio = ratio * (1.0 - 0.6 * np.clip(0.5 * sunk, 0.0, 1.0))
        lit = self.around + 0.25 * self.around.mean((0, 1))  # highlights need light: none glow in the dark
        lit = self._lamp(lit)
        highlight = self.gloss * 2.0 * lobe[..., None] * lit
        return ratio.astype(np.float32), highlight.astype(np.float32)

    def _lamp(self, light: RGB) -> RGB:
        """(h, w, 3) what a body mirrors where it gives back `light`: the channel its pigment takes least from tells."""
        white = np.float32(whiteness_of_lights(self.scene))
        return light + white * (light.max(axis=2, keepdims=True) - light) if white > 0.0 else light

    def _roughen(self, light: RGB, roughness: Field) -> RGB:
        rough = np.maximum(roughness, 0.0)[..., None]
        smooth = np.maximum(-roughness, 0.0)[..., None]
        above = np.maximum(light - 0.8 * self.around, 0.0)
        dulled = light - np.minimum(0.75 * rough, 0.9) * above * (0.4 + self.gloss)
        grainy = dulled * np.exp(0.16 * rough * self.grain[..., None])
        evened = grainy + np.minimum(0.8 * smooth, 0.9) * (self.around - grainy)
        return evened.astype(np.float32, copy=False)


def _up_to_grey(change: RGB, own: RGB) -> RGB:
    """(h, w, 3) the log change without what would go up to grey or past it: some dye is always left, and beside a coloured
    surface full grey looks like its opposite hue.

    Args:
        own: (h, w, 3) linear light of the surface.
    """
    log = np.log(np.maximum(own, np.float32(1e-3)))
    hue, tint = (color - color.mean(axis=2, keepdims=True) for color in (log, change))
    lost = -np.sum(tint * hue, axis=2, keepdims=True) / np.maximum(np.sum(hue * hue, axis=2, keepdims=True), np.float32(1e-6))
    beside = (tint + lost * hue) * np.clip(2.0 * (1.0 - lost), 0.0, 1.0)  # what is nearly grey has no other hue
    return (change - tint - np.minimum(lost, np.float32(_MOST_LOST)) * hue + beside).astype(np.float32, copy=False)


def _colour_gained(log_reflectance: RGB) -> Field:
    """(h, w, 1) how much more the most brightened channel gains than the others gain with it, 0 where none is brightened."""
    most = np.maximum(log_reflectance.max(axis=2, keepdims=True), 0.0)
    return most - np.maximum(log_reflectance.min(axis=2, keepdims=True), 0.0)
