# As default_runtime.py; training starts from an OIM network, which lacks the
# query-guided parts. Anything else that is missing is an error.
_base_ = './default_runtime.py'

guided_parts = ['backbone.gates.', 'rpn_head.gate.', 'rpn_head.qrpn_']
default_hooks = dict(
    strict_load=dict(allow=[*guided_parts, 'roi_head.sim_head.'])
)
# losses, times and what shows that the network looks at its query are logged
# as means of the window
log_processor = dict(
    mean_pattern=r'.*(loss|time|grad_norm|acc|_order|gate_spread).*'
)
