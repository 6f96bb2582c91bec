"""Judges a booth's discovery by Home Assistant's own code. Run by a Python that has `homeassistant` and `paho-mqtt`.

Standard input: {"discovery": …, "health": …, "state": …}. Ends with 1 and a sentence where Home Assistant would refuse or drop something.
"""

import asyncio
import json
import logging
import sys
import tempfile

from homeassistant.components.mqtt import binary_sensor, sensor
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA, SHARED_OPTIONS
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame
from homeassistant.helpers.template import Template


class Remarks(logging.Handler):
    """What Home Assistant logs about a description that it takes all the same."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


REMARKS = Remarks()
logging.getLogger("homeassistant").addHandler(REMARKS)
PLATFORMS = {"sensor": sensor, "binary_sensor": binary_sensor}


async def judge(heard):
    hass = HomeAssistant(tempfile.mkdtemp())
    frame.async_setup(hass)

    def render(template, said):
        return Template(template, hass).async_render_with_possible_json_value(json.dumps(said), "error", parse_result=False)

    discovery, health, state = heard["discovery"], heard["health"], heard["state"]
    DEVICE_DISCOVERY_SCHEMA(json.loads(json.dumps(discovery)))
    shared = {key: discovery[key] for key in SHARED_OPTIONS if key in discovery}
    for key, component in discovery["components"].items():
        whole = {**shared, "device": discovery["device"], "origin": discovery["origin"], "qos": discovery["qos"], **component}
        platform = whole.pop("platform")
        taken = PLATFORMS[platform].DISCOVERY_SCHEMA(json.loads(json.dumps(whole)))
        dropped = set(whole) - {str(name) for name in taken}
        if dropped:
            sys.exit(f"{key}: Home Assistant drops {dropped}")
        value = render(component["value_template"], health)
        if platform == "sensor" and value != "None":
            float(value)
        if platform == "binary_sensor" and value not in (component.get("payload_on", "ON"), component.get("payload_off", "OFF")):
            sys.exit(f"{key}: {value!r} is neither on nor off")
        if platform == "sensor" and render(component["value_template"], {}) != "None":
            sys.exit(f"{key}: a value that is absent is not unknown")
    available = render(discovery["availability"][0]["value_template"], state)
    if available != "online":
        sys.exit(f"the booth is {available!r}")
    if REMARKS.said:
        sys.exit(f"Home Assistant remarks: {REMARKS.said}")
    print(f"Home Assistant {__version__} takes {len(discovery['components'])} components")
    await hass.async_stop(force=True)


asyncio.run(judge(json.load(sys.stdin)))
