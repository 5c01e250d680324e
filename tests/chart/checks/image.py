"""The image's recipe, as far as it can be judged without building it; and that the chart and it agree."""

import re

from lib.chart import full, of
from lib.tools import ROOT, Wrong, insist

FILE = ROOT / "daemon" / "Dockerfile"


def the_recipe_builds_what_is_shipped():
    text = FILE.read_text()
    toolchain = re.search(r'rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text())[1]
    stages = re.findall(r"(?m)^FROM (\S+)", text)
    holds = {
        "the toolchain is Cargo.toml's": f"rust:{toolchain}" in text,
        "--locked": "--locked" in text,
        "the profile dist": "--profile dist" in text,
        "without the simulators": "--no-default-features" in text,
        "two stages": len(stages) >= 2,
        "no tag that moves": all(":" in stage and not stage.endswith(":latest") for stage in stages if stage != "build"),
        "both programs and no more": sorted(re.findall(r"(?m)^COPY --from=build \S*/(\w+)", text)) == ["clavigerctl", "clavigerd"],
        "a user by number": re.search(r"(?m)^USER (\d+):(\d+)$", text) is not None,
    }
    insist([f"daemon/Dockerfile: not so: {word}" for word, held in holds.items() if not held])


def the_user_of_the_image_is_the_user_of_the_pod():
    user, group = re.search(r"(?m)^USER (\d+):(\d+)$", FILE.read_text()).groups()
    wanted = of("Deployment", full())[0]["spec"]["template"]["spec"]["securityContext"]
    if (int(user), int(group)) != (wanted["runAsUser"], wanted["runAsGroup"]):
        raise Wrong(f"the image has {user}:{group}, the pod {wanted}")


def the_pod_calls_what_the_image_has():
    container = of("Deployment", full())[0]["spec"]["template"]["spec"]["containers"][0]
    if "command" in container or 'ENTRYPOINT ["/usr/local/bin/clavigerd"]' not in FILE.read_text():
        raise Wrong("the pod gives arguments to the image's entry point: keep it")


CHECKS = [the_recipe_builds_what_is_shipped, the_user_of_the_image_is_the_user_of_the_pod, the_pod_calls_what_the_image_has]
