"""What the paper reports (AnomalyAgent, arXiv 2604.07900), means over the 15 items of MVTec AD, to stand beside our figures.

Percent where a name ends in nothing else; `inception_score` and `ic_lpips` as they are, seconds and dollars for each good
sample.
"""

from dataclasses import dataclass

__all__ = ["ABLATION", "PAPER", "Reported"]


@dataclass(frozen=True)
class Reported:
    """One row; None where the paper gives nothing."""

    method: str
    inception_score: float | None = None
    ic_lpips: float | None = None
    accuracy: float | None = None
    image_auroc: float | None = None
    image_ap: float | None = None
    image_f1: float | None = None
    pixel_auroc: float | None = None
    pixel_ap: float | None = None
    pixel_f1: float | None = None
    good_rate: float | None = None
    seconds: float | None = None
    dollars: float | None = None


PAPER = (
    Reported("CutPaste", 1.76, 0.22),
    Reported("DRAEM", 1.76, 0.25, None, 94.6, 97.0, 94.4, 92.2, 54.1, 53.1),
    Reported("NSA", 1.44, 0.26),
    Reported("RealNet", 1.64, 0.22),
    Reported("CropPaste", None, None, None, 74.0, 89.4, 87.7, 90.4, 48.4, 49.4),
    Reported("DFMGAN (few-shot)", None, None, None, 87.2, 94.8, 94.7, 90.0, 62.7, 62.1),
    Reported("AnomalyAny", 2.02, 0.33, good_rate=34.0, seconds=735.3),
    Reported("AnoStyler", 2.04, 0.32, 32.2, good_rate=16.7, seconds=125.7),
    Reported("AnomalyHybrid", 2.06, 0.32, 52.6, 94.3, 96.9, 95.7, 96.9, 72.9, 69.1),
    Reported("Gemini 3.1 Flash Image, fixed prompt", 1.91, 0.29, 44.7, 96.6, 98.2, 95.1, 96.8, 67.6, 64.1, 77.3, 137.8, 0.0595),
    Reported("GPT Image 1.5, fixed prompt", 1.77, 0.29, 40.5, 95.7, 97.5, 94.0, 89.9, 51.8, 51.3, 58.7, 207.8, 0.1354),
    Reported("Grok Imagine, fixed prompt", 1.68, 0.28, 38.9, 93.6, 96.1, 92.8, 89.8, 52.1, 51.2, 42.7, 245.9, 0.0751),
    Reported("AnomalyAgent", 2.10, 0.33, 57.0, 98.5, 99.3, 97.3, 98.0, 74.2, 70.3, 91.3, 117.2, 0.0567),
)
ABLATION = (
    Reported("AnomalyAgent: generator alone", 1.91, 0.29, 44.7),
    Reported("AnomalyAgent: QE + KR", 1.90, 0.29, 48.2),
    Reported("AnomalyAgent: PG + QE", 2.03, 0.32, 47.3),
    Reported("AnomalyAgent: PG", 1.99, 0.32, 45.1),
    Reported("AnomalyAgent: PG + QE + KR", 2.03, 0.32, 49.5),
    Reported("AnomalyAgent: + SFT", 2.08, 0.33, 52.4),
    Reported("AnomalyAgent: + RL", 2.10, 0.33, 57.0),
    Reported("AnomalyAgent: RL without rewards (SFT)", accuracy=52.4),
    Reported("AnomalyAgent: RL, task reward", accuracy=53.6),
    Reported("AnomalyAgent: RL, task and reflection", accuracy=55.3),
)
