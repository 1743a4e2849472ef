"""What does not fit a model, in words."""

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from anomalyagent.configs.faults import faults_of, first_fault


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = Field(ge=1)


class Whole(BaseModel):
    parts: list[Part]


def test_every_fault_names_its_place_what_is_wrong_and_what_came() -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate({"parts": [{"width": 2}, {"width": 0, "colour": "red"}]})
    first, second = faults_of(caught.value)
    assert first == first_fault(caught.value)
    assert first[:4] == (("parts", 1, "width"), "parts.1.width", "Input should be greater than or equal to 1", 0)
    assert str(first) == "parts.1.width: Input should be greater than or equal to 1"
    assert (second.where, second.kind, second.received) == ("parts.1.colour", "extra_forbidden", "red")


def test_a_fault_of_the_whole_has_the_name_that_it_is_given() -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(3)
    assert str(first_fault(caught.value, "the file")).startswith("the file: Input should be a valid dictionary")
    assert first_fault(caught.value).where == ""


class Place(BaseModel):
    center: tuple[float, float]

    @field_validator("center")
    @classmethod
    def _inside(cls, center: tuple[float, float]) -> tuple[float, float]:
        if max(center) > 1.0:
            raise ValueError("it lies outside")
        return center


@pytest.mark.parametrize(("center", "told"), [("middle", "Input should be a list"), ((2, 2), "it lies outside")])
def test_a_fault_speaks_of_lists_and_of_what_is_wrong_not_of_python(center: object, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Place.model_validate({"center": center})
    assert str(first_fault(caught.value)) == f"center: {told}"
