"""What all objects of the contract share."""

from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    """What all the contract's objects share: nothing unknown, nothing converted, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
