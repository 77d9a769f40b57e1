"""Ask once, with pykka."""

import pykka


class Echo(pykka.ThreadingActor):
    """Answers what it is asked."""

    def on_receive(self, message: str) -> str:
        """Give it back."""
        return message


echo = Echo.start()
print(echo.ask("hello"), flush=True)
echo.stop()
