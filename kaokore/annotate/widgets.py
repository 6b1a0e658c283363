"""The page's elements: plain HTML that the server can change."""

from __future__ import annotations

from nicegui.elements.mixins.text_element import TextElement

from kaokore.annotate.annotations import Action
from kaokore.annotate.queue import Face


def tag(name: str, text: str = "", classes: str = "", **attributes: str) -> TextElement:
    """Create an HTML element; `data_place` names the attribute data-place."""
    element = TextElement(tag=name, text=text).classes(classes)
    element.props.update({key.replace("_", "-"): value for key, value in attributes.items()})
    return element


def tool(key: str, cap: str, name: str, **attributes: str) -> tuple[TextElement, TextElement]:
    """Create a small button that shows its key, and return it with its text."""
    with tag("button", type="button", aria_label=name, aria_keyshortcuts=key, **attributes) as button:
        tag("kbd", cap, aria_hidden="true")
        return button, tag("span", name)


def switch(element: TextElement, name: str, on: bool) -> None:
    """Add a class to an element, or remove it."""
    element.classes(add=name) if on else element.classes(remove=name)


class LabelButton:
    """The button of class `number` (from 1): its name, its predicted probability, and who chose it."""

    def __init__(self, number: int, name: str) -> None:
        self.number, self.name = number, name
        self.button = tag("button", classes="label", type="button", data_press=str(number))
        with self.button:
            tag("kbd", str(number))
            with tag("span", classes="name"):
                tag("span", name)
                self.official = tag("span", "official", "note official")
                self.mine = tag("span", classes="note mine")
            with tag("span", classes="share"):
                self.share, self.enter = tag("span"), tag("kbd", "Enter")
            with tag("span", classes="bar") as self.bar:
                tag("div")

    def draw(self, face: Face | None, state: Action | None) -> None:
        """Show the state of a face; without a face the button is disabled."""
        k = self.number - 1
        probability = 0.0 if face is None else face.probabilities[k]
        official, suggested = face is not None and face.official == k, face is not None and face.suggested == k
        chosen = state is not None and state.label == self.name
        self.share.text = f"{probability:.0%}"
        self.bar.style(f"--part: {probability:.4f}")
        self.mine.text = f"✓ {state.who}" if state is not None and chosen else ""
        for element, there in ((self.enter, suggested), (self.official, official), (self.mine, chosen)):
            switch(element, "hidden", not there)
        switch(self.button, "suggested", suggested)
        switch(self.button, "chosen", chosen)
        words = {"suggested": suggested, "official": official, "chosen": chosen}
        description = [self.name, f"probability {probability:.0%}", *(word for word, there in words.items() if there)]
        self.button.props.update({"aria-label": ", ".join(description), "aria-keyshortcuts": str(self.number)})
        self.button.props.set_bool("disabled", face is None)
