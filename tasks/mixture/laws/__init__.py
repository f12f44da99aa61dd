"""Laws: from the losses of some trained mixtures to the losses of any mixture, behind one face.

from tasks.mixture import fit_law
law = fit_law(weights, losses)
law.predict(other_weights)
law.propose(budget=10**9, tokens={"web": 10**9, "code": 10**8}, epoch_cap=4)
"""
