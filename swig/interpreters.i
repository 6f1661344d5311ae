/* One interpreter a process: what SWIG makes keeps its types and tables in static variables, so a sub-interpreter that
 * made them anew, and ended, would leave the others with what is gone. The module refuses before anything is made. */

%{
#undef SWIG_init
#define SWIG_init make_module
#undef SWIGEXPORT
#define SWIGEXPORT static
SWIGEXPORT PyObject *make_module(void);
%}

%wrapper %{
static int (*fill_module)(PyObject *module);

static int fill_main_interpreters_module(PyObject *module)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "posix_ipc_swig works in the main interpreter only, not in a sub-interpreter");
        return -1;
    }
    return fill_module(module);
}

PyMODINIT_FUNC PyInit__mqueue(void)
{
    PyObject *definition = make_module();
    PyModuleDef_Slot *slot = ((PyModuleDef *)definition)->m_slots;

    for (; slot->slot != 0; slot++)
        if (slot->slot == Py_mod_exec && slot->value != (void *)fill_main_interpreters_module) {
            fill_module = (int (*)(PyObject *))slot->value;
            slot->value = (void *)fill_main_interpreters_module;
        }
    return definition;
}
%}
