"""Peers: published recipes of synthetic anomalies behind one interface, so that all contenders meet in the same run.

Each module holds `make(material, count, seed) -> Stack`, our own code after the published description; what a peer needs
beyond normal images is said there. To add one: a module and a line in `PEERS`.
"""

from anomalyagent.training.evaluation.peers import croppaste, cutpaste, draem, memseg, nsa, perlin
from anomalyagent.training.evaluation.peers.base import Material, Peer

__all__ = ["PEERS", "Material", "Peer"]

PEERS = {
    peer.name: peer
    for peer in (
        Peer("cutpaste", cutpaste.make),
        Peer("draem", draem.make),
        Peer("nsa", nsa.make),
        Peer("memseg", memseg.make),
        Peer("perlin", perlin.make),
        Peer("croppaste", croppaste.make, few_shot=True),
    )
}
