package cumulo.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What a function takes, made of plain JSON values: beans, records, collections, numbers. */
final class Mapper {
    private Mapper() {}

    /** Make a value of `type` from what JSON said. */
    static Object toType(Object value, Type type) throws ReflectiveOperationException {
        Class<?> raw = rawClass(type);
        if (value == null) {
            return raw.isPrimitive() ? Array.get(Array.newInstance(raw, 1), 0) : null;
        }
        if (raw == Object.class) {
            return value;
        }
        if (raw == String.class || raw == CharSequence.class) {
            if (value instanceof Map || value instanceof List) {
                throw mismatch(value, raw);
            }
            return value.toString();
        }
        if (raw == boolean.class || raw == Boolean.class) {
            return value instanceof Boolean ? value : Boolean.valueOf(value.toString());
        }
        if (raw.isPrimitive() || Number.class.isAssignableFrom(raw) || raw == Character.class) {
            return toNumber(value, raw);
        }
        if (raw.isEnum()) {
            return toEnum(value, raw);
        }
        if (raw.isArray()) {
            return toArray(value, type, raw);
        }
        if (Collection.class.isAssignableFrom(raw) || raw == Iterable.class) {
            return toCollection(value, type, raw);
        }
        if (Map.class.isAssignableFrom(raw)) {
            return toMap(value, type, raw);
        }
        if (value instanceof Map) {
            return toObject((Map<?, ?>) value, type, raw);
        }
        return fromScalar(value, raw);
    }

    private static Object toNumber(Object value, Class<?> raw) {
        if (raw == char.class || raw == Character.class) {
            return value.toString().charAt(0);
        }
        if (!(value instanceof Number) && !(value instanceof String)) {
            throw mismatch(value, raw);
        }
        BigDecimal number = new BigDecimal(value.toString());
        if (raw == int.class || raw == Integer.class) {
            return number.intValue();
        }
        if (raw == long.class || raw == Long.class) {
            return number.longValue();
        }
        if (raw == double.class || raw == Double.class) {
            return number.doubleValue();
        }
        if (raw == float.class || raw == Float.class) {
            return number.floatValue();
        }
        if (raw == short.class || raw == Short.class) {
            return number.shortValue();
        }
        if (raw == byte.class || raw == Byte.class) {
            return number.byteValue();
        }
        if (raw == BigInteger.class) {
            return number.toBigInteger();
        }
        return raw == Number.class && value instanceof Number ? value : number;
    }

    private static Object toEnum(Object value, Class<?> raw) {
        for (Object constant : raw.getEnumConstants()) {
            if (((Enum<?>) constant).name().equals(value) || constant.toString().equals(value)) {
                return constant;
            }
        }
        throw mismatch(value, raw);
    }

    private static Object toArray(Object value, Type type, Class<?> raw) throws ReflectiveOperationException {
        if (raw == byte[].class && value instanceof String) {
            return java.util.Base64.getDecoder().decode((String) value);
        }
        List<?> items = listOf(value, raw);
        Type component = type instanceof GenericArrayType
                ? ((GenericArrayType) type).getGenericComponentType()
                : raw.getComponentType();
        Object array = Array.newInstance(raw.getComponentType(), items.size());
        for (int i = 0; i < items.size(); i++) {
            Array.set(array, i, toType(items.get(i), component));
        }
        return array;
    }

    @SuppressWarnings("unchecked")
    private static Object toCollection(Object value, Type type, Class<?> raw) throws ReflectiveOperationException {
        Collection<Object> items;
        if (!raw.isInterface() && !Modifier.isAbstract(raw.getModifiers())) {
            items = (Collection<Object>) raw.getDeclaredConstructor().newInstance();
        } else {
            items = Set.class.isAssignableFrom(raw) ? new LinkedHashSet<Object>() : new ArrayList<Object>();
        }
        Type item = argument(type, 0);
        for (Object one : listOf(value, raw)) {
            items.add(toType(one, item));
        }
        return items;
    }

    @SuppressWarnings("unchecked")
    private static Object toMap(Object value, Type type, Class<?> raw) throws ReflectiveOperationException {
        if (!(value instanceof Map)) {
            throw mismatch(value, raw);
        }
        boolean ours = raw.isInterface() || Modifier.isAbstract(raw.getModifiers());
        Map<Object, Object> map =
                ours ? new LinkedHashMap<Object, Object>() : (Map<Object, Object>) raw.getDeclaredConstructor().newInstance();
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
            map.put(toType(entry.getKey(), argument(type, 0)), toType(entry.getValue(), argument(type, 1)));
        }
        return map;
    }

    private static Object toObject(Map<?, ?> values, Type type, Class<?> raw) throws ReflectiveOperationException {
        if (Beans.isRecord(raw)) {
            return toRecord(values, raw);
        }
        Constructor<?> constructor = raw.getDeclaredConstructor();
        constructor.setAccessible(true);
        Object object = constructor.newInstance();
        for (Map.Entry<?, ?> entry : values.entrySet()) {
            String name = String.valueOf(entry.getKey());
            Method setter = setter(raw, name);
            if (setter != null) {
                Beans.call(setter, object, toType(entry.getValue(), bound(setter.getGenericParameterTypes()[0], type)));
                continue;
            }
            Field field = publicField(raw, name);
            if (field != null && !Modifier.isFinal(field.getModifiers())) {
                field.set(object, toType(entry.getValue(), bound(field.getGenericType(), type)));
            }
        }
        return object;
    }

    private static Object toRecord(Map<?, ?> values, Class<?> raw) throws ReflectiveOperationException {
        List<Field> fields = Beans.recordFields(raw);
        Class<?>[] types = new Class<?>[fields.size()];
        Object[] arguments = new Object[fields.size()];
        for (int i = 0; i < types.length; i++) {
            types[i] = fields.get(i).getType();
            arguments[i] = toType(values.get(fields.get(i).getName()), fields.get(i).getGenericType());
        }
        Constructor<?> constructor = raw.getDeclaredConstructor(types);
        constructor.setAccessible(true);
        return constructor.newInstance(arguments);
    }

    /** Dates and the like: from milliseconds, or by their own way of reading text. */
    private static Object fromScalar(Object value, Class<?> raw) throws ReflectiveOperationException {
        if (raw == Date.class) {
            boolean millis = value instanceof Number;
            return millis ? new Date(((Number) value).longValue()) : Date.from(java.time.Instant.parse(value.toString()));
        }
        try {
            return raw.getMethod("parse", CharSequence.class).invoke(null, value.toString());
        } catch (NoSuchMethodException none) {
            try {
                return raw.getConstructor(String.class).newInstance(value.toString());
            } catch (NoSuchMethodException neither) {
                throw mismatch(value, raw);
            }
        }
    }

    /** AWS's events are not sure of their capitals (Records, eventSourceARN), so a property is found by any. */
    private static Method setter(Class<?> raw, String property) {
        Method found = null;
        for (Method method : raw.getMethods()) {
            if (method.getParameterCount() == 1
                    && !method.isBridge()
                    && method.getName().length() > 3
                    && method.getName().startsWith("set")
                    && method.getName().substring(3).equalsIgnoreCase(property)) {
                if (Beans.decapitalized(method.getName().substring(3)).equals(property)) {
                    return method;
                }
                found = method;
            }
        }
        return found;
    }

    private static Field publicField(Class<?> raw, String name) {
        for (Field field : raw.getFields()) {
            if (field.getName().equals(name) && !Modifier.isStatic(field.getModifiers())) {
                field.setAccessible(true);
                return field;
            }
        }
        return null;
    }

    private static List<?> listOf(Object value, Class<?> wanted) {
        if (!(value instanceof List)) {
            throw mismatch(value, wanted);
        }
        return (List<?>) value;
    }

    static Class<?> rawClass(Type type) {
        if (type instanceof Class) {
            return (Class<?>) type;
        }
        if (type instanceof ParameterizedType) {
            return (Class<?>) ((ParameterizedType) type).getRawType();
        }
        if (type instanceof GenericArrayType) {
            return Array.newInstance(rawClass(((GenericArrayType) type).getGenericComponentType()), 0).getClass();
        }
        if (type instanceof WildcardType) {
            return rawClass(((WildcardType) type).getUpperBounds()[0]);
        }
        return Object.class;
    }

    private static Type argument(Type type, int index) {
        if (type instanceof ParameterizedType) {
            Type[] arguments = ((ParameterizedType) type).getActualTypeArguments();
            return index < arguments.length ? arguments[index] : Object.class;
        }
        return Object.class;
    }

    /** What a type variable of a generic class stands for in `owner`. */
    static Type bound(Type type, Type owner) {
        if (!(type instanceof TypeVariable) || !(owner instanceof ParameterizedType)) {
            return type;
        }
        TypeVariable<?>[] variables = rawClass(owner).getTypeParameters();
        for (int i = 0; i < variables.length; i++) {
            if (variables[i].getName().equals(((TypeVariable<?>) type).getName())) {
                return ((ParameterizedType) owner).getActualTypeArguments()[i];
            }
        }
        return type;
    }

    private static IllegalArgumentException mismatch(Object value, Class<?> wanted) {
        return new IllegalArgumentException(
                "An error occurred during JSON parsing: cannot make " + wanted.getName() + " of "
                        + (value instanceof Map ? "an object" : value instanceof List ? "an array" : Json.write(value)));
    }
}
