"""What a test leaves no trace of: the containers, volumes and network of one home's models."""

from tests.guard import RunningGuard


def remove_models(guard: RunningGuard) -> None:
    wanted = {"label": f"millwright.home={guard.home.id}"}
    with guard.engine.client() as client:
        for row in client.containers(all=True, filters=wanted):
            client.remove_container(row["Id"], v=True, force=True)
        for volume in client.volumes(filters=wanted)["Volumes"] or ():
            client.remove_volume(volume["Name"], force=True)
        for network in client.networks(filters=wanted):
            client.remove_network(network["Id"])
